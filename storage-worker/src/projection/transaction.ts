import type { Database } from '@parley/platform/ports/database'
import { type Batch, type Checkpoint, highestBound } from './batch.ts'
import { loadConversations, loadEvents, loadMembers, loadMessages, lockCheckpoint } from './load.ts'
import { type Projection, project, touchedConversations, wanted } from './project.ts'
import { ProjectionStopped } from './stopped.ts'
import { moveCheckpoint, writeProjection } from './write.ts'

export type Outcome =
  /** The batch is in the database, and `checkpoint` is what it now says. */
  | { type: 'projected'; projection: Projection; checkpoint: Checkpoint }
  /** Another worker has moved the checkpoint; nothing was written, and reading starts again from `checkpoint`. */
  | { type: 'moved'; checkpoint: Checkpoint }

/**
 * [R4] One transaction writes rows, heads and checkpoint of a batch, if the checkpoint is where the batch begins. Two
 * workers on one partition wait for each other at its row, and the second finds it moved. Rejects with
 * `ProjectionStopped` when log and database contradict each other, with `DatabaseUnavailable` when the server is
 * away; the latter may come after the commit has happened, and then the next try finds the checkpoint moved.
 */
export function projectBatch(db: Database, batch: Batch): Promise<Outcome> {
  const { partition, epoch } = batch
  return db.transaction(async (sql) => {
    const [from, conversations] = await Promise.all([
      lockCheckpoint(sql, partition),
      loadConversations(sql, touchedConversations(batch)),
    ])
    if (from === undefined || from.epoch !== epoch) throw strangeEpoch(batch, from)
    if (from.next !== batch.first) return { type: 'moved', checkpoint: from }
    const want = wanted(batch, conversations)
    const [members, messages, events] = await Promise.all([
      loadMembers(sql, want.members),
      loadMessages(sql, want.messages),
      loadEvents(sql, want.seqs),
    ])
    const projection = project(batch, { conversations, members, messages, events })
    const to = { epoch, next: batch.next, upTo: highestBound([from.upTo, ...batch.upTos]) }
    const [moved] = await Promise.all([
      moveCheckpoint(sql, { partition, from, to }),
      writeProjection(sql, projection, epoch),
    ])
    if (!moved) throw new Error(`partition ${partition}: the checkpoint moved under its lock`)
    return { type: 'projected', projection, checkpoint: to }
  })
}

function strangeEpoch(batch: Batch, found: Checkpoint | undefined): ProjectionStopped {
  const where = { partition: batch.partition, offset: batch.first }
  return new ProjectionStopped(
    where,
    found === undefined
      ? 'the database has no checkpoint of this partition'
      : `the database has gone on to epoch ${found.epoch}, this worker began in epoch ${batch.epoch}`,
  )
}
