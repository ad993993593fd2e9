import type { Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import { topics } from '@parley/proto/record-headers'
import type { PartitionProjector } from './partition-projector.ts'
import type { Checkpoint } from './projection/batch.ts'
import type { Reported } from './reports.ts'
import type { StorageWorkerSettings } from './settings.ts'
import type { StorageMetrics } from './storage-metrics.ts'

export interface TrimParts {
  log: Log
  logger: Logger
  metrics: StorageMetrics
  settings: Pick<StorageWorkerSettings, 'retainRecords' | 'trimIntervalMs'>
}

/** Trims what is due; never rejects. */
export type Trim<R extends Reported> = (reported: R) => Promise<void>

/**
 * Lets go of commands behind S and of events behind E, which no process reads again: chat-service decides from S on,
 * storage-worker projects from E on. Two margins stand before that. `retainRecords` is for late readers and for a standby
 * database that has lost the last commits. And it is the checkpoint of one interval ago that counts: chat-service stops
 * when its own committed offset is no longer in the log, and commits it only after the append that made S move.
 */
export function createEventTrim(parts: TrimParts): Trim<PartitionProjector> {
  const { log, settings } = parts
  const seen = new Map<number, Checkpoint>()
  const due = createDue(settings.trimIntervalMs)
  return async ({ partition, checkpoint }) => {
    if (!due(partition)) return
    const before = seen.get(partition)
    seen.set(partition, checkpoint)
    if (before === undefined || before.epoch !== checkpoint.epoch) return
    const commands = before.upTo.offset - settings.retainRecords
    const events = before.next - settings.retainRecords
    await counted(parts, partition, async () => {
      if (commands > 0) await log.trim(topics.commands, partition, commands)
      if (events > 0) await log.trim(topics.events, partition, events)
    })
  }
}

/** Lets go of cursors behind what is stored as applied, with the margin of `retainRecords`. */
export function createCursorTrim(parts: TrimParts): Trim<Reported> {
  const { log, settings } = parts
  const due = createDue(settings.trimIntervalMs)
  return async ({ partition, next }) => {
    const before = next - settings.retainRecords
    if (!due(partition) || before <= 0) return
    await counted(parts, partition, () => log.trim(topics.cursors, partition, before))
  }
}

/** True once an interval for each partition; never for an interval of 0. */
function createDue(intervalMs: number): (partition: number) => boolean {
  const lastMs = new Map<number, number>()
  return (partition) => {
    const nowMs = performance.now()
    const last = lastMs.get(partition)
    if (intervalMs === 0 || (last !== undefined && nowMs - last < intervalMs)) return false
    lastMs.set(partition, nowMs)
    return true
  }
}

async function counted(
  { metrics, logger }: TrimParts,
  partition: number,
  trim: () => Promise<void>,
): Promise<void> {
  try {
    await trim()
  } catch (error) {
    metrics.trimFailures.inc()
    logger.warn({ err: error, partition }, 'the logs could not be trimmed')
  }
}
