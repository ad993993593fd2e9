import { createCommandWriter } from '@parley/platform/command-writer/create'
import { createCursorWriter } from '@parley/platform/cursor-writer/cursor-writer'
import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import type { Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import type { Metrics } from '@parley/platform/process/metrics'
import type { RpcConnector, RpcRoutes } from '@parley/platform/rpc/connector'
import { createSendLimiter, type SendLimiter } from '@parley/platform/send-limiter/send-limiter'
import { topics } from '@parley/proto/record-headers'
import { currentRules } from '@parley/proto/rules'
import type { FastifyInstance } from 'fastify'
import { createAccounts } from './accounts/accounts.ts'
import { createChanges } from './conversations/changes.ts'
import { limitSends } from './conversations/limited-writer.ts'
import { createProjectedHeads } from './conversations/projected-heads.ts'
import { createReadPositions } from './conversations/read-positions.ts'
import { createShownPositions } from './conversations/shown-positions.ts'
import { directoryRoutes } from './directory/directory-service.ts'
import { createHttpApi } from './http/http-api.ts'
import { type CommandConsumer, consumeCommands } from './runner/command-consumer.ts'
import { FanOut } from './runner/fan-out.ts'
import { createPostgresStateSource } from './runner/postgres-state-source.ts'
import { ReplySender } from './runner/reply-sender.ts'
import { createRunnerMetrics } from './runner/runner-metrics.ts'
import {
  type ChatSettings,
  cursorFlushMs,
  limiterSweepMs,
  replyBounds,
  runnerConstants,
  writerBounds,
} from './settings.ts'

export interface ChatServiceConfig extends Omit<ChatSettings, 'keySecret'> {
  /** Signing keys are sealed and refresh tokens made under it. */
  keySecret: string
  /** Where this process's ReplyService is served; it stands in every command that REST writes. */
  address: string
  /** The public addresses of gateways. */
  gatewayUrls: () => string[]
}

export interface ChatServiceParts {
  log: Log
  bus: Bus
  /** Migrated. */
  db: Database
  rpc: RpcConnector
  /** The number of the log's epoch, as storage-worker claimed it. */
  epoch: number
  logger: Logger
  metrics: Metrics
  /** Shared with whatever else in this process takes sends of users; its own unless told. */
  limiter?: SendLimiter
}

export interface ChatService {
  /** The HTTP API, not yet listening: the composition root mounts what else it serves, then listens. */
  readonly http: FastifyInstance
  /** DirectoryService and ReplyService, to be served at the configured address. */
  readonly routes: RpcRoutes
  /** Joins the sequencers' group; partitions follow by themselves. */
  start(): Promise<void>
  /** Why the process is not ready: a sentence for each partition that stopped. Empty when all is well. */
  problems(): string[]
  stop(): Promise<void>
}

/** The process that sequences conversations and answers REST and gateways. Nothing is decided until `start`. */
export async function createChatService(
  config: ChatServiceConfig,
  parts: ChatServiceParts,
): Promise<ChatService> {
  const { log, bus, db, rpc, logger, metrics } = parts
  const accounts = await createAccounts(config, {
    database: db,
    bus,
    onKeyRefreshFailed: (error) => logger.warn({ err: error }, 'signing keys could not be read'),
  })
  const partitions = log.partitions(topics.commands)
  const heads = await createProjectedHeads({ bus, database: db, partitions })
  const writer = createCommandWriter({
    log,
    address: config.address,
    rules: currentRules,
    ...writerBounds,
    logger,
    metrics,
  })
  const cursors = createCursorWriter({ log, logger, metrics, flushMs: cursorFlushMs })
  const shown = createShownPositions({ database: db })
  const readPositions = createReadPositions({
    log,
    cursors,
    heads,
    shown,
    bus,
    database: db,
    logger,
  })
  const limiter =
    parts.limiter ??
    createSendLimiter({
      perSecond: config.userMessagesPerSecond,
      burst: config.userMessagesBurst,
    })
  const sweep = setInterval(() => limiter.sweep(Date.now()), limiterSweepMs).unref()
  const changes = createChanges({
    writer: limitSends(writer, limiter, Date.now),
    heads,
    database: db,
    users: accounts.users,
  })
  const http = await createHttpApi(
    { gatewayUrls: config.gatewayUrls, maxConnections: config.maxHttpConnections },
    { accounts, changes, readPositions, database: db, log: logger, metrics },
  )
  const directory = directoryRoutes({ db, accounts, heads })
  const runnerMetrics = createRunnerMetrics(metrics)
  let consumer: CommandConsumer | undefined

  return {
    http,
    routes(router) {
      directory(router)
      writer.routes(router)
    },
    async start() {
      consumer = await consumeCommands(
        {
          log,
          source: createPostgresStateSource(db, parts.epoch),
          replies: new ReplySender(rpc, {
            logger,
            bounds: replyBounds,
            givenUp: runnerMetrics.repliesGivenUp,
          }),
          fanOut: new FanOut(bus, logger, runnerMetrics.publishesLost),
          logger,
          metrics: runnerMetrics,
          epoch: parts.epoch,
          now: Date.now,
        },
        { ...config, ...runnerConstants },
      )
    },
    problems: () =>
      [...(consumer?.stopped ?? [])].map(
        ([partition, error]) => `chat-service: partition ${partition} stopped: ${error.message}`,
      ),
    async stop() {
      await http.close()
      clearInterval(sweep)
      await writer.drained()
      await consumer?.close()
      await writer.close()
      await cursors.close()
      shown.close()
      await heads.close()
      await accounts.close()
    },
  }
}
