import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ChatService, createChatService } from '@parley/chat-service/create'
import { mountPrivateRoutes } from '@parley/chat-service/http/private-routes'
import { mountStaticFiles } from '@parley/chat-service/http/static-files'
import { createGateway } from '@parley/gateway/create'
import { createMemoryBus } from '@parley/platform/memory/bus'
import { createMemoryPresenceStore } from '@parley/platform/memory/presence-store'
import { lockDataFolder } from '@parley/platform/process/data-folder'
import { createHealth } from '@parley/platform/process/health'
import type { Lifecycle } from '@parley/platform/process/lifecycle'
import type { Logger } from '@parley/platform/process/logs'
import { createMetrics } from '@parley/platform/process/metrics'
import { StartError } from '@parley/platform/process/start-error'
import { createInProcessRpc } from '@parley/platform/rpc/in-process'
import { createSendLimiter } from '@parley/platform/send-limiter/send-limiter'
import { createPresenceService } from '@parley/presence-service/create'
import { topics } from '@parley/proto/record-headers'
import { createStorageWorker } from '@parley/storage-worker/create'
import { claimEpoch } from '@parley/storage-worker/epochs'
import { startAdminListener } from './admin-listener.ts'
import { untilProjected } from './backup-projected.ts'
import { startEngines } from './engines.ts'
import { keySecretOf } from './key-secret.ts'
import type { StandaloneSettings } from './settings.ts'

const webFolder = dirname(fileURLToPath(import.meta.resolve('@parley/web/public/index.html')))

/** Names within this process, where a cluster has addresses. */
const addresses = {
  gateway: 'gateway',
  chat: 'chat-service',
  presence: 'presence-service',
} as const

/**
 * All services in one process on embedded parts. Each part is stopped in the opposite order: sockets are drained while
 * the sequencer still answers, and the log outlives whoever writes it.
 */
export async function startStandalone(
  settings: StandaloneSettings,
  lifecycle: Lifecycle,
  logger: Logger,
): Promise<{ httpUrl: string; wsUrl: string }> {
  const folder = await lockDataFolder(settings.dataDir)
  lifecycle.add('data folder', () => folder.release(), 5_000)
  const keySecret = await keySecretOf(settings.dataDir, settings.keySecret)
  const { log, db } = await startEngines(settings, lifecycle, logger)
  const epoch = await claimEpoch(db, log)

  const metrics = createMetrics()
  const health = createHealth()
  const rpc = createInProcessRpc()
  const bus = createMemoryBus({
    onHandlerError: (error) => logger.error({ err: error }, 'a subscriber failed'),
  })
  // One for WebSocket and REST: a user's rate is over both.
  const limiter = createSendLimiter({
    perSecond: settings.userMessagesPerSecond,
    burst: settings.userMessagesBurst,
  })
  const parts = { log, bus, db, rpc, epoch, logger, metrics, limiter }

  const storage = createStorageWorker(settings, parts)
  await storage.start()
  lifecycle.add('storage-worker', () => storage.stop(), 20_000)

  let wsUrl = ''
  const gatewayUrls = () => [wsUrl]
  const chat = await createChatService(
    { ...settings, keySecret, address: addresses.chat, gatewayUrls },
    parts,
  )
  rpc.serve(addresses.chat, chat.routes)
  await chat.start()
  lifecycle.add('chat-service', () => chat.stop(), 30_000)

  const store = createMemoryPresenceStore({ shards: log.partitions(topics.sessions) })
  const presence = createPresenceService(settings.presence, { ...parts, store })
  rpc.serve(addresses.presence, presence.routes)
  await presence.start()
  lifecycle.add('presence-service', () => presence.stop(), 10_000)

  const gateway = createGateway(
    {
      ...settings,
      address: addresses.gateway,
      directoryAddress: () => addresses.chat,
      presenceAddress: () => addresses.presence,
    },
    parts,
  )
  rpc.serve(addresses.gateway, gateway.routes)
  const { url } = await gateway.start()
  wsUrl = url
  lifecycle.add('gateway', () => gateway.stop(), 40_000)

  health.add('database', async () => {
    await db.ping()
    return { ok: true }
  })
  health.add('services', () => {
    const services = [storage, chat, presence, gateway]
    const problems = services.flatMap((service) => service.problems())
    return problems.length === 0 ? { ok: true } : { ok: false, reason: problems.join('; ') }
  })
  mountPrivateRoutes(chat.http, { health, metrics, loopbackOnly: true })
  mountStaticFiles(chat.http, { folder: webFolder })
  const admin = await startAdminListener({
    dataDir: settings.dataDir,
    databaseUrl: db.orm.config.get('clientUrl') ?? '',
    projected: () => untilProjected({ log, db, epoch }),
  })
  lifecycle.add('admin listener', () => admin.close(), 5_000)
  const httpUrl = await listen(chat.http, settings)
  return { httpUrl, wsUrl }
}

async function listen(http: ChatService['http'], settings: StandaloneSettings): Promise<string> {
  const { host, httpPort: port } = settings
  try {
    return await http.listen({ host, port })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    throw new StartError(
      `the HTTP API can't listen on ${host}:${port}: the port is in use; stop what uses it, or set PARLEY_HTTP_PORT`,
    )
  }
}
