import type { Database, Sql } from '@parley/platform/ports/database'
import type { Assignment, Log, LogRecord, PartitionReader } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import type { Announcer } from './announcer.ts'
import { type Batch, batchBefore, type Checkpoint, decodeBatches } from './projection/batch.ts'
import { readCheckpoint } from './projection/load.ts'
import { ProjectionStopped } from './projection/stopped.ts'
import { type Outcome, projectBatch } from './projection/transaction.ts'
import { AssignmentEnded, whileAway } from './retry.ts'
import type { StorageWorkerSettings } from './settings.ts'
import type { StorageMetrics } from './storage-metrics.ts'

export interface ProjectorParts {
  log: Log
  db: Database
  /** The number of the log's epoch, as `claimEpoch` gave it. */
  epoch: number
  announcer: Announcer
  logger: Logger
  metrics: StorageMetrics
}

export interface PartitionProjector extends PartitionReader {
  readonly partition: number
  readonly assignment: Assignment
  /** As last seen in the database. */
  readonly checkpoint: Checkpoint
}

/** The database has lost commits (a standby took over): what they held must be read again from the log. */
export class CheckpointWentBack extends Error {
  override readonly name = 'CheckpointWentBack'
}

export interface OpenOptions {
  assignment: Assignment
  settings: StorageWorkerSettings
  /** Aborted when the process stops. */
  stopping: AbortSignal
}

/**
 * A reader of one partition from its checkpoint on; the group's committed offset plays no part. Waits while the database is
 * away. Rejects when log and checkpoint don't fit together.
 */
export async function openProjector(
  parts: ProjectorParts,
  { assignment, settings, stopping }: OpenOptions,
): Promise<PartitionProjector> {
  const { log, db, epoch, logger, metrics } = parts
  const { topic, partition } = assignment
  const signal = AbortSignal.any([assignment.signal, stopping])

  const persist = <T>(work: () => Promise<T>): Promise<T> => {
    let away = false
    const options = {
      signal,
      minMs: settings.retryMinMs,
      maxMs: settings.retryMaxMs,
      onRetry(error: unknown, attempt: number) {
        metrics.retries.inc()
        away = true
        if (attempt % 10 !== 1) return
        logger.warn({ err: error, partition, attempt }, 'waiting for the database')
      },
    }
    return whileAway(work, options).then((result) => {
      if (away) logger.info({ partition }, 'the database is back')
      return result
    })
  }

  const opened = await persist(() => db.snapshot((sql) => readStart(sql, partition, epoch)))
  const { earliest, next } = await log.range(topic, partition)
  checkStart(`${topic}/${partition}`, opened.checkpoint.next, { earliest, next })
  let checkpoint = opened.checkpoint

  /** False when another worker was first: `checkpoint` is then where to go on. */
  async function store(batch: Batch): Promise<boolean> {
    let outcome: Outcome
    try {
      outcome = await persist(() => timed(metrics, () => projectBatch(db, batch)))
    } catch (error) {
      if (!(error instanceof ProjectionStopped)) throw error
      // What stands before it is projected all the same, however the batch was cut.
      const before = batchBefore(batch, error.where.offset)
      if (before !== undefined && !(await store(before))) return false
      throw error
    }
    if (outcome.type === 'moved') {
      metrics.raceLosses.inc()
      if (outcome.checkpoint.next < checkpoint.next) {
        throw new CheckpointWentBack(
          `${topic}/${partition}: the checkpoint was at ${checkpoint.next} and is at ${outcome.checkpoint.next}`,
        )
      }
      checkpoint = outcome.checkpoint
      return false
    }
    checkpoint = outcome.checkpoint
    metrics.events.inc(outcome.projection.rows.length)
    parts.announcer.announce(partition, outcome.projection)
    return true
  }

  const decoding = {
    partition,
    epoch,
    epochId: opened.epochId,
    maxEvents: settings.transactionEvents,
  }

  /** False when some of them are still to be stored: the checkpoint moved. */
  async function storeAll(records: LogRecord[]): Promise<boolean> {
    const first = records[0]
    if (first !== undefined && first.offset !== checkpoint.next) {
      throw new ProjectionStopped(
        { partition, offset: first.offset },
        `the next record must have the offset ${checkpoint.next}`,
      )
    }
    for (const batch of decodeBatches(records, decoding)) {
      if (!(await store(batch))) return false
    }
    return true
  }

  return {
    partition,
    assignment,
    get checkpoint() {
      return checkpoint
    },
    start: opened.checkpoint.next,
    async read(records) {
      try {
        while (!(await storeAll(records.filter((r) => r.offset >= checkpoint.next))));
      } catch (error) {
        // Whoever gets the partition next begins at the checkpoint, so nothing is lost.
        if (!(error instanceof AssignmentEnded)) throw error
      }
    },
    async revoked() {},
  }
}

async function timed(
  { transactionSeconds }: StorageMetrics,
  work: () => Promise<Outcome>,
): Promise<Outcome> {
  const end = transactionSeconds.startTimer()
  const outcome = await work()
  if (outcome.type === 'projected') end()
  return outcome
}

async function readStart(
  sql: Sql,
  partition: number,
  epoch: number,
): Promise<{ checkpoint: Checkpoint; epochId: string }> {
  const checkpoint = await readCheckpoint(sql, partition)
  const [row] = await sql.query<{ id: string }>('select id from log_epochs where number = $1', [
    epoch,
  ])
  if (checkpoint?.epoch !== epoch || row === undefined) {
    throw new Error(
      `the database has no checkpoint of partition ${partition} in epoch ${epoch}: epochs must be claimed at start, and all processes restarted when one begins`,
    )
  }
  return { checkpoint, epochId: row.id }
}

function checkStart(name: string, start: number, log: { earliest: number; next: number }): void {
  if (start < log.earliest) {
    throw new Error(
      `${name}: the database is at offset ${start}, the log has nothing before ${log.earliest}: restore a later backup of the database`,
    )
  }
  if (start > log.next) {
    throw new Error(
      `${name}: the database is at offset ${start}, the log ends at ${log.next}: this is an older copy of the log, or it has lost records`,
    )
  }
}
