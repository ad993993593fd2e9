import type { Database, Sql } from '@parley/platform/ports/database'
import type { Assignment, Log, LogRecord } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import type { Announcer } from './announcer.ts'
import { CheckpointWentBack, type Follower } from './follow-topic.ts'
import { createPersist } from './persist.ts'
import { type Batch, batchBefore, type Checkpoint, decodeBatches } from './projection/batch.ts'
import { readCheckpoint } from './projection/load.ts'
import { ProjectionStopped } from './projection/stopped.ts'
import { type Outcome, projectBatch } from './projection/transaction.ts'
import { AssignmentEnded } from './retry.ts'
import type { StorageWorkerSettings } from './settings.ts'
import { checkStart } from './start-check.ts'
import type { StorageMetrics } from './storage-metrics.ts'
import type { Trim } from './trimming.ts'

export interface ProjectorParts {
  log: Log
  db: Database
  /** The number of the log's epoch, as `claimEpoch` gave it. */
  epoch: number
  announcer: Announcer
  logger: Logger
  metrics: StorageMetrics
}

export interface PartitionProjector extends Follower {
  /** As last seen in the database. */
  readonly checkpoint: Checkpoint
}

export interface OpenOptions {
  assignment: Assignment
  settings: StorageWorkerSettings
  /** Aborted when the process stops. */
  stopping: AbortSignal
  /** Called every few seconds. */
  trim: Trim<PartitionProjector>
}

/**
 * A reader of one partition from its checkpoint on; the group's committed offset plays no part. Waits while the database is
 * away. Rejects when log and checkpoint don't fit together.
 */
export async function openProjector(
  parts: ProjectorParts,
  { assignment, settings, stopping, trim }: OpenOptions,
): Promise<PartitionProjector> {
  const { log, db, epoch, logger, metrics } = parts
  const { topic, partition } = assignment
  const signal = AbortSignal.any([assignment.signal, stopping])

  const name = `${topic}/${partition}`
  const persist = createPersist({ name, signal, settings, logger, metrics })
  const opened = await persist(() => db.snapshot((sql) => readStart(sql, partition, epoch)))
  const { earliest, next } = await log.range(topic, partition)
  checkStart(name, opened.checkpoint.next, { earliest, next })
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
          `${name}: the checkpoint was at ${checkpoint.next} and is at ${outcome.checkpoint.next}`,
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

  const projector: PartitionProjector = {
    partition,
    assignment,
    get checkpoint() {
      return checkpoint
    },
    get next() {
      return checkpoint.next
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
    tend: () => trim(projector),
  }
  return projector
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
