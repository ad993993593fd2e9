import type { Bus } from '@parley/platform/ports/bus'
import type { Log } from '@parley/platform/ports/log'
import type { PresenceStore } from '@parley/platform/ports/presence-store'
import type { Logger } from '@parley/platform/process/logs'
import type { Metrics } from '@parley/platform/process/metrics'
import type { RpcRoutes } from '@parley/platform/rpc/connector'
import { topics } from '@parley/proto/record-headers'
import { consumeSessions, type SessionConsumer } from './consumer.ts'
import { createPresenceMetrics } from './presence-metrics.ts'
import { presenceRoutes } from './presence-routes.ts'
import { defaultSettings, type PresenceSettings } from './settings.ts'

export interface PresenceServiceParts {
  log: Log
  bus: Bus
  /** Of as many shards as the sessions log has partitions. */
  store: PresenceStore
  logger: Logger
  metrics: Metrics
  /** Milliseconds since 1970, by which gateways stamp too. The system's clocks unless told. */
  now?: () => number
}

export interface PresenceService {
  /** PresenceService, which answers from the store, started or not. */
  readonly routes: RpcRoutes
  /** Resolves when the group knows this process; partitions follow by themselves. */
  start(): Promise<void>
  /** Tells of what has changed, within about a second, and leaves the group. Harmless without or after another one. */
  stop(): Promise<void>
  /** Why the process is not ready: a sentence for each partition that stopped. Empty when all is well. */
  problems(): string[]
}

/**
 * The process "sessions → presence". Nothing is read or told until `start`. Throws when the store has another number of
 * shards than the sessions log has partitions.
 */
export function createPresenceService(
  settings: Partial<PresenceSettings>,
  parts: PresenceServiceParts,
): PresenceService {
  const { log, store, now } = parts
  const partitions = log.partitions(topics.sessions)
  if (store.shards !== partitions) {
    throw new Error(
      `the presence store has ${store.shards} shards, ${topics.sessions} ${partitions} partitions: they must be as many`,
    )
  }
  const bounds = { ...defaultSettings, ...settings }
  const clocks = { now: now ?? Date.now, elapsed: now ?? (() => performance.now()) }
  const metrics = createPresenceMetrics(parts.metrics)
  let consumer: SessionConsumer | undefined

  return {
    routes: presenceRoutes({ store, callTimeoutMs: bounds.callTimeoutMs, now: clocks.now }),
    async start() {
      consumer = await consumeSessions({ ...parts, ...clocks, metrics, settings: bounds })
    },
    async stop() {
      const running = consumer
      consumer = undefined
      await running?.close()
    },
    problems: () =>
      [...(consumer?.stopped ?? [])].map(
        ([partition, error]) =>
          `presence-service: partition ${partition} stopped: ${error.message}`,
      ),
  }
}
