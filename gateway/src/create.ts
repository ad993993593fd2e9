import { createCommandWriter } from '@parley/platform/command-writer/create'
import type { Bus } from '@parley/platform/ports/bus'
import type { Log } from '@parley/platform/ports/log'
import type { Log as Logger } from '@parley/platform/process/logs'
import type { Metrics } from '@parley/platform/process/metrics'
import type { RpcConnector, RpcRoutes } from '@parley/platform/rpc/connector'
import type { Welcome } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { currentRules } from '@parley/proto/rules'
import type { Connection } from './connection.ts'
import { createConnections } from './connections.ts'
import { createDirectory } from './directory.ts'
import { drainConnections } from './drain.ts'
import { createFanOut, type FanOut } from './fan-out.ts'
import { createFlusher } from './flusher.ts'
import { createHello } from './hello.ts'
import { createMemberships, type Memberships } from './memberships.ts'
import { createGatewayMetrics } from './metrics.ts'
import { createRechecks } from './rechecks.ts'
import { createSendLimiter } from './send-limiter.ts'
import { defaultBounds, type GatewayBounds, type GatewaySettings } from './settings.ts'
import { createSocketServer, webSocketPath } from './sockets.ts'
import { createTokenVerifier } from './tokens.ts'
import { createUsers } from './users.ts'

export interface GatewayConfig extends GatewaySettings {
  /** Where `routes` are served: it stands in every command, and replies come there. */
  address: string
  /** Where chat-service serves the directory now. */
  directoryAddress: () => string
  bounds?: Partial<GatewayBounds>
}

export interface GatewayParts {
  log: Log
  bus: Bus
  rpc: RpcConnector
  logger: Logger
  metrics: Metrics
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
  const rechecks = createRechecks(directory, now)
  const check = createCheck(() => memberships, bounds.secondCheckMs)
  const fanOut: FanOut = createFanOut({
    bus,
    flusher,
    logger,
    metrics,
    chunkBytes: bounds.messageBytes,
    recheck: rechecks.ask,
    readmitted: (connection, conversation, seq) => memberships.admit(connection, conversation, seq),
    onLate: check.start,
  })
  const users = createUsers({
    bus,
    logger,
    maxConnectionsPerUser: config.wsMaxConnectionsPerUser,
    onNotice(of, _user, notice) {
      for (const connection of of) memberships.notice(connection, notice)
    },
    onLate: check.start,
  })
  const memberships: Memberships = createMemberships({
    fanOut,
    users,
    directory,
    subscribeWaitMs: bounds.subscribeWaitMs,
    maxConversations: bounds.maxConversations,
    maxNotices: bounds.maxNotices,
  })
  const tokens = createTokenVerifier(directory, now)
  const limiter = createSendLimiter({
    perSecond: config.userMessagesPerSecond,
    burst: config.userMessagesBurst,
  })
  const authenticate = createHello({
    tokens,
    users,
    memberships,
    fanOut,
    directory,
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
      metrics,
      logger,
      now,
      authenticate,
      draining: () => draining !== null,
    }),
  )
  bus.onInterruption(check.start)
  let timers: NodeJS.Timeout[] = []

  function startTimers(): void {
    const sessions = createSessionCheck()
    timers = [
      every(100, () => {
        rechecks.tick(now())
        fanOut.recover()
        metrics.settle()
      }),
      every(500, () => {
        const at = now()
        for (const { session, out } of connections) {
          session.tick(at)
          if (out.overdue(at)) session.tooSlow()
        }
        limiter.sweep(at)
      }),
      every(bounds.headsMs, () => {
        fanOut.tick()
        fanOut.announceHeads()
      }),
      every(bounds.sessionCheckMs, sessions),
    ]
  }

  /** [G11] Whose session ended without a notice reaching us; asked again until the directory answers. */
  function createSessionCheck(): () => void {
    let asking = false
    return () => {
      if (asking) return
      const open = new Set<string>()
      for (const { bound, sessionId } of connections) {
        if (bound && sessionId !== null) open.add(sessionId)
      }
      if (open.size === 0) return
      asking = true
      void directory.endedOf([...open]).then((answer) => {
        asking = false
        if (!answer.ok) return
        const ended = new Set(answer.ended)
        for (const { session, sessionId } of connections) {
          if (sessionId !== null && ended.has(sessionId)) session.revoked()
        }
      })
    }
  }

  function drain(): Promise<void> {
    sockets.stopListening()
    draining ??= drainConnections({
      connections,
      answered: () => writer.drained(),
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
      check.stop()
      await writer.close()
      sockets.close()
    },
  }
}

/** Checks everything at once and once more a little later, since what was missed may not have been stored yet. */
function createCheck(memberships: () => Memberships, secondMs: number) {
  let second: NodeJS.Timeout | undefined
  let running = false
  async function run(): Promise<void> {
    if (running) return
    running = true
    await memberships().checkAll()
    running = false
  }
  return {
    start() {
      void run()
      clearTimeout(second)
      second = setTimeout(() => void run(), secondMs)
      second.unref()
    },
    stop: () => clearTimeout(second),
  }
}

function every(ms: number, work: () => void): NodeJS.Timeout {
  return setInterval(work, ms)
}

function welcomeLimits(config: GatewayConfig): Welcome['limits'] {
  return {
    frameBytes: limits.frameBytes,
    bodyBytes: limits.bodyBytes,
    textLength: limits.textLength,
    inFlight: limits.inFlight,
    messagesPerSecond: config.userMessagesPerSecond,
    idleSeconds: config.wsIdleSeconds,
  }
}

/** What is heard on every address is told as the loopback one: without a public URL it is for this machine. */
function urlOf(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `ws://${name.includes(':') ? `[${name}]` : name}:${port}${webSocketPath}`
}
