import type { Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import type { PartitionPresence } from './partition-presence.ts'
import type { PresenceMetrics } from './presence-metrics.ts'
import type { PresenceSettings } from './settings.ts'

export interface ReportParts {
  log: Log
  logger: Logger
  metrics: PresenceMetrics
  settings: PresenceSettings
  /** Milliseconds of a clock that only goes forward. */
  elapsed(): number
  /** Those this process has now. */
  partitions(): PartitionPresence[]
}

export interface Reports {
  /** Resolves after the one under way and a last commit. */
  stop(): Promise<void>
}

/**
 * What is done beside the reading, every second or so and never twice at once: offsets committed, lag measured, the log
 * trimmed.
 */
export function startReports(parts: ReportParts): Reports {
  const { settings } = parts
  const trim = createTrimmer(parts)
  let running: Promise<void> | undefined

  async function report(): Promise<void> {
    for (const partition of parts.partitions()) {
      await partition.commit()
      await measure(parts, partition)
      if (settings.trimIntervalMs > 0) await trim(partition)
    }
  }

  const timer = setInterval(() => {
    running ??= report().finally(() => {
      running = undefined
    })
  }, settings.commitIntervalMs)
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await running
      for (const partition of parts.partitions()) await partition.commit()
    },
  }
}

async function measure(
  { log, logger, metrics }: ReportParts,
  { assignment, next, waiting }: PartitionPresence,
): Promise<void> {
  const { topic, partition, signal } = assignment
  try {
    const range = await log.range(topic, partition)
    if (signal.aborted) return
    metrics.lag.set({ partition }, Math.max(0, range.next - next))
    metrics.waiting.set({ partition }, waiting)
  } catch (error) {
    logger.debug({ err: error, partition }, 'the lag could not be measured')
  }
}

/** Nothing of the log is needed once it stands in the store; one interval is left for looking. */
function createTrimmer({ log, logger, metrics, settings, elapsed }: ReportParts) {
  const seen = new WeakMap<PartitionPresence, { atMs: number; committed: number | null }>()

  return async (opened: PartitionPresence): Promise<void> => {
    const { topic, partition } = opened.assignment
    const before = seen.get(opened)
    const nowMs = elapsed()
    if (before !== undefined && nowMs - before.atMs < settings.trimIntervalMs) return
    seen.set(opened, { atMs: nowMs, committed: opened.committed })
    if (before === undefined || before.committed === null) return
    try {
      await log.trim(topic, partition, before.committed)
    } catch (error) {
      metrics.trimFailures.inc()
      logger.warn({ err: error, partition }, 'the sessions log could not be trimmed')
    }
  }
}
