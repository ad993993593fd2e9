import type { Logger } from '@parley/platform/process/logs'
import { whileAway } from './retry.ts'
import type { StorageWorkerSettings } from './settings.ts'
import type { StorageMetrics } from './storage-metrics.ts'

export interface PersistParts {
  /** What is being stored, for the log: a topic and a partition. */
  name: string
  signal: AbortSignal
  settings: Pick<StorageWorkerSettings, 'retryMinMs' | 'retryMaxMs'>
  logger: Logger
  metrics: StorageMetrics
}

/** Runs work on the database, repeats it for as long as the database is away (see `whileAway`), and says so. */
export type Persist = <T>(work: () => Promise<T>) => Promise<T>

export function createPersist({ name, signal, settings, logger, metrics }: PersistParts): Persist {
  return async (work) => {
    let away = false
    const result = await whileAway(work, {
      signal,
      minMs: settings.retryMinMs,
      maxMs: settings.retryMaxMs,
      onRetry(error, attempt) {
        metrics.retries.inc()
        away = true
        if (attempt % 10 === 1)
          logger.warn({ err: error, name, attempt }, 'waiting for the database')
      },
    })
    if (away) logger.info({ name }, 'the database is back')
    return result
  }
}
