import type { Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import { topics } from '@parley/proto/record-headers'
import type { PartitionProjector } from './partition-projector.ts'
import type { Checkpoint } from './projection/batch.ts'
import type { StorageWorkerSettings } from './settings.ts'
import type { StorageMetrics } from './storage-metrics.ts'

export interface ReportParts {
  log: Log
  logger: Logger
  metrics: StorageMetrics
  settings: StorageWorkerSettings
  /** Those this process has now. */
  projectors(): Iterable<PartitionProjector>
}

export interface Reports {
  /** Ends the reports; resolves after the one under way and a last commit. */
  stop(): Promise<void>
}

/**
 * What is done beside the projection, every few seconds and never twice at once: lag measured, the group's offset
 * committed for those who look at the group, logs trimmed.
 */
export function startReports(parts: ReportParts): Reports {
  const { settings } = parts
  const trimmer = createTrimmer(parts)
  const committed = new WeakMap<PartitionProjector, number>()
  let running: Promise<void> | undefined

  async function report(): Promise<void> {
    for (const projector of parts.projectors()) {
      await measure(parts, projector)
      await commit(projector)
      if (settings.trimIntervalMs > 0) await trimmer.trim(projector)
    }
  }

  /** Nobody starts from it, so a commit that fails matters to nobody. */
  async function commit(projector: PartitionProjector): Promise<void> {
    const { next } = projector.checkpoint
    if (committed.get(projector) === next) return
    committed.set(projector, next)
    try {
      await projector.assignment.commit(next)
    } catch (error) {
      const { partition } = projector
      parts.logger.debug({ err: error, partition }, "the group's offset was not committed")
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
      for (const projector of parts.projectors()) await commit(projector)
    },
  }
}

async function measure({ log, metrics, logger }: ReportParts, p: PartitionProjector) {
  const { topic, partition } = p.assignment
  try {
    const { next } = await log.range(topic, partition)
    if (p.assignment.signal.aborted) return
    metrics.lag.set({ partition }, Math.max(0, next - p.checkpoint.next))
  } catch (error) {
    logger.debug({ err: error, partition }, 'the lag could not be measured')
  }
}

interface Trimmer {
  trim(projector: PartitionProjector): Promise<void>
}

/**
 * Lets go of commands behind S and of events behind E, which no process reads again: chat-service decides from S on,
 * storage-worker projects from E on. Two margins stand before that. `retainRecords` is for late readers and for a standby
 * database that has lost the last commits. And it is the checkpoint of one interval ago that counts: chat-service stops
 * when its own committed offset is no longer in the log, and commits it only after the append that made S move.
 */
function createTrimmer({ log, logger, metrics, settings }: ReportParts): Trimmer {
  const seen = new Map<number, { atMs: number; checkpoint: Checkpoint }>()

  async function trimTo(checkpoint: Checkpoint, partition: number): Promise<void> {
    const commands = checkpoint.upTo.offset - settings.retainRecords
    const events = checkpoint.next - settings.retainRecords
    if (commands > 0) await log.trim(topics.commands, partition, commands)
    if (events > 0) await log.trim(topics.events, partition, events)
  }

  return {
    async trim({ partition, checkpoint }) {
      const before = seen.get(partition)
      const nowMs = performance.now()
      if (before !== undefined && nowMs - before.atMs < settings.trimIntervalMs) return
      seen.set(partition, { atMs: nowMs, checkpoint })
      if (before === undefined || before.checkpoint.epoch !== checkpoint.epoch) return
      try {
        await trimTo(before.checkpoint, partition)
      } catch (error) {
        metrics.trimFailures.inc()
        logger.warn({ err: error, partition }, 'the logs could not be trimmed')
      }
    },
  }
}
