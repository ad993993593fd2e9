import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import type { Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import type { Metrics } from '@parley/platform/process/metrics'
import { createAnnouncer } from './announcer.ts'
import { consumeEvents, type EventConsumer } from './consumer.ts'
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
  /** Resolves when the group knows this worker; partitions follow by themselves. */
  start(): Promise<void>
  /** Resolves when nothing is being written any more. Harmless without or after another one. */
  stop(): Promise<void>
  /** Why the process is not ready: a sentence for each partition that stopped. Empty when all is well. */
  problems(): string[]
}

/** The process "events → Postgres". Does nothing until `start`. */
export function createStorageWorker(
  settings: Partial<StorageWorkerSettings>,
  parts: StorageWorkerParts,
): StorageWorker {
  const { log, bus, db, epoch, logger } = parts
  const metrics = createStorageMetrics(parts.metrics)
  const announcer = createAnnouncer(bus, metrics)
  let consumer: EventConsumer | undefined
  return {
    async start() {
      consumer = await consumeEvents(
        { log, db, epoch, announcer, logger, metrics },
        { ...defaultSettings, ...settings },
      )
    },
    async stop() {
      const running = consumer
      consumer = undefined
      await running?.close()
    },
    problems: () =>
      [...(consumer?.stopped ?? [])].map(([partition, error]) => {
        return `storage-worker: partition ${partition} stopped: ${error.message}`
      }),
  }
}
