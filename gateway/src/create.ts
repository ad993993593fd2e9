import { createCommandWriter } from '@parley/platform/command-writer/create'
import { createCursorWriter } from '@parley/platform/cursor-writer/cursor-writer'
import type { Bus } from '@parley/platform/ports/bus'
import type { Log } from '@parley/platform/ports/log'
import type { Log as Logger } from '@parley/platform/process/logs'
import type { Metrics } from '@parley/platform/process/metrics'
import type { RpcConnector, RpcRoutes } from '@parley/platform/rpc/connector'
import { createSendLimiter, type SendLimiter } from '@parley/platform/send-limiter/send-limiter'
import { currentRules } from '@parley/proto/rules'
import type { Connection } from './connection.ts'
import { createConnections } from './connections.ts'
import { createConversationNotices } from './conversation-notices.ts'
import { createDirectory } from './directory.ts'
import { drainConnections } from './drain.ts'
import { createEphemera, type Ephemera } from './ephemera.ts'
import { createFanOut, type FanOut } from './fan-out.ts'
import { createFlusher } from './flusher.ts'
import { createHello } from './hello.ts'
import { createInterruptions } from './interruptions.ts'
import { createMemberships, type Memberships } from './memberships.ts'
import { createGatewayMetrics } from './metrics.ts'
import { createPresenceSource } from './presence.ts'
import { createRechecks } from './rechecks.ts'
import { createSessionCheck } from './session-check.ts'
import { createSessionReports } from './session-reports.ts'
import {
  defaultBounds,
  type GatewayBounds,
  type GatewaySettings,
  welcomeLimits,
} from './settings.ts'
import { resolvedWithin } from './settled-within.ts'
import { createSocketServer, urlOf } from './sockets.ts'
import { createTokenVerifier } from './tokens.ts'
import { createUsers } from './users.ts'

export interface GatewayConfig extends GatewaySettings {
  /** Where `routes` are served: it stands in every command, and replies come there. */
  address: string
  /** Where chat-service serves the directory now. */
  directoryAddress: () => string
  /** Where presence-service answers now. */
  presenceAddress: () => string
  bounds?: Partial<GatewayBounds>
}

export interface GatewayParts {
  log: Log
  bus: Bus
  rpc: RpcConnector
  logger: Logger
  metrics: Metrics
  /** Shared with whatever else in this process takes sends of users; its own unless told. */
  limiter?: SendLimiter
  /** Milliseconds since 1970; the system's clock unless told. */
  now?: () => number
}

export interface Gateway {
  /** ReplyService, to be served at `address` before `start`. */
  readonly routes: RpcRoutes
  /** Takes sockets; resolves with where. Rejects with StartError. */
  start(): Promise<{ port: number; url: string }>
  /** Why this gateway should get no new work. */
  problems(): string[]
  /**
   * No new sockets; each open one is told when to come again, its commands in flight are answered, and it is closed
   * 4013. Resolves within `wsDrainMs`.
   */
  drain(): Promise<void>
  /** Drains, then lets go of everything. */
  stop(): Promise<void>
}

/** The process that owns sockets, and nothing else. */
export function createGateway(config: GatewayConfig, parts: GatewayParts): Gateway {
  const { log, bus, rpc, logger, metrics: registry, now = Date.now } = parts
  const bounds: GatewayBounds = { ...defaultBounds, ...config.bounds }
  const connections = new Set<Connection>()
  const metrics = createGatewayMetrics(registry, {
    connections: () => connections.size,
    rooms: () => fanOut.rooms,
    lagging: () => fanOut.lagging,
    watched: () => ephemera.watching.watched,
    backlogBytes() {
      let bytes = 0
      for (const { out } of connections) bytes += out.backlogBytes
      return bytes
    },
  })
  const writer = createCommandWriter({
    log,
    address: config.address,
    rules: currentRules,
    now,
    maxWaiting: config.wsMaxWaitingCommands,
    maxWaitingBytes: bounds.maxWaitingCommandBytes,
    maxRecordBytes: bounds.maxRecordBytes,
    replyTimeoutMs: bounds.replyTimeoutMs,
    logger,
    metrics: registry,
  })
  const directory = createDirectory({
    rpc,
    address: config.directoryAddress,
    timeoutMs: bounds.directoryTimeoutMs,
    membershipLimit: bounds.maxConversations,
    pagesInFlight: bounds.pagesInFlight,
  })
  const flusher = createFlusher()
  const rechecks = createRechecks(directory, logger, now)
  const interruptions = createInterruptions({
    users: () => memberships.userIds(),
    check: (ids) => memberships.check(ids),
    onStart: () => ephemera.watching.interrupted(),
    secondMs: bounds.secondCheckMs,
  })
  const fanOut: FanOut = createFanOut({
    bus,
    flusher,
    logger,
    metrics,
    chunkBytes: bounds.messageBytes,
    recheck: rechecks.ask,
    readmitted: (connection, conversation, seq) => memberships.admit(connection, conversation, seq),
    onLate: interruptions.start,
  })
  const users = createUsers({
    bus,
    logger,
    maxConnectionsPerUser: config.wsMaxConnectionsPerUser,
    onNotice(of, _user, notice) {
      for (const connection of of) memberships.notice(connection, notice)
    },
    onLate: interruptions.start,
  })
  const notices = createConversationNotices({
    directory,
    fanOut,
    logger,
    waitMs: bounds.infoWaitMs,
  })
  const cursors = createCursorWriter({
    log,
    logger,
    metrics: registry,
    flushMs: bounds.readGatherMs,
  })
  const presence = createPresenceSource({
    rpc,
    address: config.presenceAddress,
    timeoutMs: bounds.directoryTimeoutMs,
  })
  const ephemera: Ephemera = createEphemera({
    bus,
    fanOut,
    flusher,
    directory,
    presence,
    cursors,
    notices,
    metrics,
    logger,
    now,
    bounds,
  })
  const reports = createSessionReports({
    log,
    logger,
    metrics,
    now,
    gatherMs: bounds.reportGatherMs,
  })
  const memberships: Memberships = createMemberships({
    fanOut,
    users,
    directory,
    notices,
    onChange: ephemera.watching.changed,
    onRead: ephemera.positions.noticed,
    subscribeWaitMs: bounds.subscribeWaitMs,
    maxConversations: bounds.maxConversations,
    maxNotices: bounds.maxNotices,
  })
  const tokens = createTokenVerifier(directory, now)
  const limiter =
    parts.limiter ??
    createSendLimiter({
      perSecond: config.userMessagesPerSecond,
      burst: config.userMessagesBurst,
    })
  const authenticate = createHello({
    tokens,
    users,
    memberships,
    fanOut,
    directory,
    reports,
    metrics,
    now,
    welcomeLimits: welcomeLimits(config),
    subscribeWaitMs: bounds.subscribeWaitMs,
    chunkBytes: bounds.messageBytes,
  })
  let draining: Promise<void> | null = null
  const sockets = createSocketServer<Connection>(
    {
      idleSeconds: config.wsIdleSeconds,
      allowedOrigins: config.wsAllowedOrigins?.split(',') ?? [],
    },
    createConnections({
      config,
      bounds,
      connections,
      flusher,
      fanOut,
      users,
      directory,
      tokens,
      writer,
      limiter,
      ephemera,
      reports,
      metrics,
      logger,
      now,
      authenticate,
      draining: () => draining !== null,
    }),
  )
  bus.onInterruption(interruptions.start)
  let timers: NodeJS.Timeout[] = []

  function startTimers(): void {
    timers = [
      setInterval(() => {
        rechecks.tick(now())
        ephemera.tick(now())
        fanOut.recover()
        metrics.settle()
      }, 100),
      setInterval(() => {
        const at = now()
        for (const { session, out } of connections) {
          session.tick(at)
          if (out.overdue(at)) session.tooSlow()
        }
        limiter.sweep(at)
        reports.tick()
      }, 500),
      setInterval(() => {
        fanOut.tick()
        fanOut.announceHeads()
      }, bounds.headsMs),
      setInterval(createSessionCheck(connections, directory), bounds.sessionCheckMs),
    ]
  }

  function drain(): Promise<void> {
    sockets.stopListening()
    draining ??= drainConnections({
      connections,
      answered: () => Promise.all([writer.drained(), ephemera.positions.drained()]),
      withinMs: config.wsDrainMs,
    })
    return draining
  }

  return {
    routes: writer.routes,
    async start() {
      const port = await sockets.listen(config.host, config.wsPort)
      startTimers()
      return { port, url: config.wsPublicUrl ?? urlOf(config.host, port) }
    },
    problems: () => (draining === null ? [] : ['gateway: draining']),
    drain,
    async stop() {
      await drain()
      for (const timer of timers) clearInterval(timer)
      interruptions.stop()
      sockets.close()
      const told = [ephemera.positions.drained(), reports.flushed()]
      await resolvedWithin(Promise.all(told), bounds.lastWriteMs)
      reports.stop()
      await cursors.close()
      await writer.close()
    },
  }
}
