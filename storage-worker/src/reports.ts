import type { Assignment, Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import type { StorageWorkerSettings } from './settings.ts'
import type { StorageMetrics } from './storage-metrics.ts'

/** A partition that is being followed. */
export interface Reported {
  readonly partition: number
  readonly assignment: Assignment
  /** The next offset: what stands before it is in the database. */
  readonly next: number
}

export interface ReportParts<R extends Reported> {
  log: Log
  logger: Logger
  settings: StorageWorkerSettings
  lag: StorageMetrics['lag']
  /** Those this process has now. */
  reported(): Iterable<R>
  /** Does what is due beside reading; a rejection is the partition's own affair. */
  tend(reported: R): Promise<void>
}

export interface Reports {
  /** Ends the reports; resolves after the one under way and a last commit. */
  stop(): Promise<void>
}

/**
 * What is done beside reading, every few seconds and never twice at once: lag measured, the group's offset committed for
 * those who look at the group, and what `tend` does.
 */
export function startReports<R extends Reported>(parts: ReportParts<R>): Reports {
  const { log, logger, settings, lag } = parts
  const committed = new WeakMap<R, number>()
  let running: Promise<void> | undefined

  async function report(): Promise<void> {
    for (const reported of parts.reported()) {
      await measure(reported)
      await commit(reported)
      await parts.tend(reported)
    }
  }

  /** Nobody starts from it, so a commit that fails matters to nobody. */
  async function commit(reported: R): Promise<void> {
    const { next, assignment, partition } = reported
    if (committed.get(reported) === next) return
    committed.set(reported, next)
    try {
      await assignment.commit(next)
    } catch (error) {
      logger.debug({ err: error, partition }, "the group's offset was not committed")
    }
  }

  async function measure(reported: R): Promise<void> {
    const { assignment, partition } = reported
    try {
      const { next } = await log.range(assignment.topic, partition)
      if (assignment.signal.aborted) return
      lag.set({ partition }, Math.max(0, next - reported.next))
    } catch (error) {
      logger.debug({ err: error, partition }, 'the lag could not be measured')
    }
  }

  const timer = setInterval(() => {
    running ??= report().finally(() => {
      running = undefined
    })
  }, settings.reportIntervalMs)
  timer.unref()
  return {
    async stop() {
      clearInterval(timer)
      await running
      for (const reported of parts.reported()) await commit(reported)
    },
  }
}
