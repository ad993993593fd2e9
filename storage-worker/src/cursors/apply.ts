import type { Sql } from '@parley/platform/ports/database'
import type { Cursor } from '@parley/proto/cursor-records'
import { parseId } from '@parley/proto/ids'
import { int8s, uuids } from '../projection/columns.ts'

/**
 * [G9] Moves read positions forward, each to its cursor or, while that is ahead of it, to the head. True in its place for
 * every cursor that needs no further try: the head has reached it, and its member's position is there. Each conversation
 * and user is named once. A membership that began after the head its cursor knew of is another one, and is left alone.
 *
 * The projection holds locks on members while it waits for others, in an order of its own; so a member that is locked is
 * left for the next try, and neither ever waits for the other in a circle.
 */
export async function applyCursors(sql: Sql, cursors: readonly Cursor[]): Promise<boolean[]> {
  const settled = cursors.map(() => false)
  const rows = await sql.query<{ place: number }>(
    `with found as (
       select v.place, m.conversation_id, m.user_id, m.read_seq, least(v.seq, c.head) as seq, v.seq <= c.head as reached
       from unnest($1::uuid[], $2::uuid[], $3::int8[], $4::int8[]) with ordinality
         as v (conversation_id, user_id, seq, head, place)
       join conversations c on c.id = v.conversation_id
       join members m on m.conversation_id = v.conversation_id and m.user_id = v.user_id
         and m.joined_seq <= v.head
     ), free as (
       select f.place, f.seq, m.conversation_id, m.user_id
       from found f join members m on m.conversation_id = f.conversation_id and m.user_id = f.user_id
       where m.read_seq < f.seq
       for no key update of m skip locked
     ), moved as (
       update members m set read_seq = f.seq from free f
       where m.conversation_id = f.conversation_id and m.user_id = f.user_id and m.read_seq < f.seq
     )
     select f.place from found f left join free on free.place = f.place
     where f.reached and (f.read_seq >= f.seq or free.place is not null)`,
    [
      uuids(cursors.map((c) => parseId(c.conversation))),
      uuids(cursors.map((c) => parseId(c.user))),
      int8s(cursors.map((c) => c.seq)),
      int8s(cursors.map((c) => c.head ?? Number.MAX_SAFE_INTEGER)),
    ],
    'storage-apply-cursors',
  )
  for (const { place } of rows) settled[place - 1] = true
  return settled
}

/**
 * The next offset to read of a partition: 0 when nothing of it has been applied in this epoch. Throws when the database
 * has gone on to a later one.
 */
export async function readCursorCheckpoint(
  sql: Sql,
  { partition, epoch }: { partition: number; epoch: number },
): Promise<number> {
  const [row] = await sql.query<{ epoch: number; next_cursor: number }>(
    'select epoch, next_cursor from cursor_checkpoints where partition = $1',
    [partition],
    'storage-cursor-checkpoint',
  )
  if (row === undefined || row.epoch < epoch) return 0
  if (row.epoch > epoch) {
    throw new Error(
      `the database has gone on to epoch ${row.epoch}, this worker began in epoch ${epoch}`,
    )
  }
  return row.next_cursor
}

/** Moves it forward; that of an earlier epoch gives way, that of a later one stays. */
export async function moveCursorCheckpoint(
  sql: Sql,
  to: { partition: number; epoch: number; next: number },
): Promise<void> {
  await sql.query(
    `insert into cursor_checkpoints as c (partition, epoch, next_cursor) values ($1, $2, $3)
     on conflict (partition) do update set epoch = excluded.epoch, next_cursor = excluded.next_cursor
     where (c.epoch, c.next_cursor) < (excluded.epoch, excluded.next_cursor)`,
    [to.partition, to.epoch, to.next],
    'storage-cursor-checkpoint-move',
  )
}

/** How far each partition of the events log is projected: E, by partition. */
export async function readProjected(sql: Sql, epoch: number): Promise<Map<number, number>> {
  const rows = await sql.query<{ partition: number; next_event: number }>(
    'select partition, next_event from partition_checkpoints where epoch = $1',
    [epoch],
    'storage-projected',
  )
  return new Map(rows.map((row) => [row.partition, row.next_event]))
}
