import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import type { Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import type { Metrics } from '@parley/platform/process/metrics'
import { createAnnouncer } from './announcer.ts'
import { consumeEvents } from './consumer.ts'
import { consumeCursors } from './cursors/consumer.ts'
import type { TopicConsumer } from './follow-topic.ts'
import { defaultSettings, type StorageWorkerSettings } from './settings.ts'
import { createStorageMetrics } from './storage-metrics.ts'

export interface StorageWorkerParts {
  log: Log
  bus: Bus
  /** Migrated; the worker holds one connection of it for each partition that it is writing. */
  db: Database
  /** The number of the log's epoch, as `claimEpoch` gave it. */
  epoch: number
  logger: Logger
  metrics: Metrics
}

export interface StorageWorker {
  /** Resolves when the groups know this worker; partitions follow by themselves. */
  start(): Promise<void>
  /** Resolves when nothing is being written any more. Harmless without or after another one. */
  stop(): Promise<void>
  /** Why the process is not ready: a sentence for each partition that stopped. Empty when all is well. */
  problems(): string[]
}

/** The process "events and cursors → Postgres". Does nothing until `start`. */
export function createStorageWorker(
  settings: Partial<StorageWorkerSettings>,
  parts: StorageWorkerParts,
): StorageWorker {
  const { log, bus, db, epoch, logger } = parts
  const whole = { ...defaultSettings, ...settings }
  const metrics = createStorageMetrics(parts.metrics)
  const announcer = createAnnouncer(bus, metrics)
  let consumers: TopicConsumer[] = []
  return {
    async start() {
      consumers.push(await consumeEvents({ log, db, epoch, announcer, logger, metrics }, whole))
      consumers.push(await consumeCursors({ log, db, epoch, logger, metrics }, whole))
    },
    async stop() {
      const running = consumers
      consumers = []
      await Promise.all(running.map((consumer) => consumer.close()))
    },
    problems: () =>
      consumers.flatMap(({ topic, stopped }) =>
        [...stopped].map(([partition, error]) => {
          return `storage-worker: partition ${partition} of ${topic} stopped: ${error.message}`
        }),
      ),
  }
}
