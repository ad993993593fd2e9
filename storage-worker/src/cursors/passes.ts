import type { Database } from '@parley/platform/ports/database'
import type { Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import { partitionOf } from '@parley/proto/partition'
import { topics } from '@parley/proto/record-headers'
import type { Persist } from '../persist.ts'
import type { StorageMetrics } from '../storage-metrics.ts'
import { applyCursors, readProjected } from './apply.ts'
import type { EventsEnd, WaitingCursor, WaitingCursors } from './waiting-cursors.ts'

export interface PassParts {
  log: Pick<Log, 'partitions' | 'range'>
  db: Database
  epoch: number
  logger: Logger
  metrics: StorageMetrics
  persist: Persist
  waiting: WaitingCursors
  /** How long a cursor waits at least before it is given up. */
  waitMs: number
}

/** Cursors of one statement: beyond, another transaction follows, so that members are locked for milliseconds only. */
const statementRows = 1_000

/** Tries every cursor that is due, once: each is settled then, given up or put off. Not to be called twice at once. */
export async function passOnce(parts: PassParts): Promise<void> {
  const { db, persist, waiting } = parts
  const due = waiting.due(performance.now())
  const past = await projectedPast(parts, due)
  for (let at = 0; at < due.length; at += statementRows) {
    const some = due.slice(at, at + statementRows)
    const settled = await persist(() => db.transaction((sql) => applyCursors(sql, some)))
    for (const [i, cursor] of some.entries()) {
      if (settled[i] === true) {
        waiting.settle(cursor)
        parts.metrics.cursors.inc()
      } else if (past(cursor)) {
        waiting.settle(cursor)
        parts.metrics.cursorsDropped.inc()
      } else waiting.defer(cursor, performance.now())
    }
  }
}

/**
 * Who waited in vain is outside, or its cursor beyond the end: but only once everything that stood in the events log when
 * its time was over has been projected, and it is tried after that.
 */
async function projectedPast(
  parts: PassParts,
  due: readonly WaitingCursor[],
): Promise<(cursor: WaitingCursor) => boolean> {
  const { db, epoch, persist, waitMs } = parts
  const over = due.filter((c) => performance.now() - c.sinceMs >= waitMs)
  if (over.length === 0) return () => false
  for (const cursor of over) cursor.outcomeAt ??= await eventsEnd(parts, cursor)
  const reached = await persist(() => db.snapshot((sql) => readProjected(sql, epoch)))
  return ({ outcomeAt }) =>
    outcomeAt !== undefined && (reached.get(outcomeAt.partition) ?? 0) >= outcomeAt.next
}

async function eventsEnd(
  { log, logger }: PassParts,
  { conversation }: WaitingCursor,
): Promise<EventsEnd | undefined> {
  const partition = partitionOf(conversation, log.partitions(topics.events))
  try {
    return { partition, next: (await log.range(topics.events, partition)).next }
  } catch (error) {
    logger.debug({ err: error, partition }, 'the end of the events log can not be read')
    return undefined
  }
}
