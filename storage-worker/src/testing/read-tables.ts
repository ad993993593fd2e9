import type { Database, Sql } from '@parley/platform/ports/database'
import { eventKindOf } from '@parley/proto/event-frame'
import type { EventBody } from '@parley/proto/frames'
import { unpack } from '@parley/proto/pack'
import { emptyTables, keyOf, type MessageRow, type Tables } from './tables.ts'

interface Row {
  [column: string]: unknown
}

/** All that storage-worker has written, of one moment. */
export function readTables(db: Database): Promise<Tables> {
  return db.snapshot(async (sql) => {
    const tables = emptyTables()
    await readConversations(sql, tables)
    for (const m of await sql.query<Row>('select * from members')) {
      tables.members.set(keyOf(String(m.conversation_id), String(m.user_id)), {
        role: String(m.role),
        from: Number(m.from_seq),
        joined: Number(m.joined_seq),
        read: Number(m.read_seq),
      })
    }
    for (const m of await sql.query<Row>('select * from messages')) {
      tables.messages.set(keyOf(String(m.conversation_id), Number(m.seq)), {
        id: String(m.id),
        kind: eventKindOf(Number(m.kind)),
        sender: String(m.sender),
        at: Number(m.at),
        target: m.target as string | null,
        body: m.body === null ? null : (unpack(m.body as Buffer) as EventBody),
        hash: (m.hash as Buffer).toString('hex'),
        position: [Number(m.epoch), Number(m.command_offset), Number(m.command_index)],
        edited: editedOf(m),
        deletedSeq: m.deleted_seq === null ? null : Number(m.deleted_seq),
      })
    }
    await readReactions(sql, tables)
    return tables
  })
}

/** Both columns together or neither. */
function editedOf(m: Row): MessageRow['edited'] {
  if (m.edited_at === null && m.present_body === null) return null
  return { at: Number(m.edited_at), body: unpack(m.present_body as Buffer) as EventBody }
}

async function readReactions(sql: Sql, tables: Tables): Promise<void> {
  for (const r of await sql.query<Row>('select * from reactions')) {
    const emoji = (r.emoji as Buffer).toString('utf8')
    const key = keyOf(String(r.conversation_id), Number(r.message_seq), String(r.user_id), emoji)
    tables.reactions.set(key, Number(r.seq))
  }
  for (const t of await sql.query<Row>('select * from reaction_totals')) {
    const emoji = (t.emoji as Buffer).toString('utf8')
    tables.totals.set(keyOf(String(t.conversation_id), Number(t.message_seq), emoji), {
      count: Number(t.count),
      firstSeq: Number(t.first_seq),
    })
  }
}

async function readConversations(sql: Sql, tables: Tables): Promise<void> {
  for (const c of await sql.query<Row>('select * from conversations')) {
    tables.conversations.set(String(c.id), {
      kind: String(c.kind),
      title: c.title as string | null,
      history: String(c.history),
      head: Number(c.head),
      lastAt: Number(c.last_at),
      lastPosition: [Number(c.last_epoch), Number(c.last_offset), Number(c.last_index)],
      createdAt: Number(c.created_at),
      createdHash: (c.created_hash as Buffer).toString('hex'),
      memberCount: Number(c.member_count),
    })
  }
}

/** What refers to others stands before them. */
const written = [
  'messages',
  'reactions',
  'reaction_totals',
  'members',
  'conversations',
  'partition_checkpoints',
  'cursor_checkpoints',
  'log_epochs',
]

/** A migrated database back to its beginning, its epoch `epochId` with the number and partitions given. */
export async function emptyDatabase(
  db: Database,
  epoch: { number: number; id: string; partitions: number },
): Promise<void> {
  await db.transaction(async (sql) => {
    // Of few rows: truncating would make new files for every partition.
    for (const table of written) await sql.query(`delete from ${table}`)
    await sql.query('insert into log_epochs (number, id) values ($1, $2)', [epoch.number, epoch.id])
    await sql.query(
      `insert into partition_checkpoints (partition, epoch, next_event, up_to_offset, up_to_index)
       select p, $1, 0, 0, 0 from generate_series(0, $2::int - 1) p`,
      [epoch.number, epoch.partitions],
    )
  })
}
