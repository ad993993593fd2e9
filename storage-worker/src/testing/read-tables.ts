import type { Database, Sql } from '@parley/platform/ports/database'
import { eventKindOf } from '@parley/proto/event-frame'
import type { EventBody } from '@parley/proto/frames'
import { unpack } from '@parley/proto/pack'
import { emptyTables, keyOf, type Tables } from './tables.ts'

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
      })
    }
    return tables
  })
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

/** A migrated database back to its beginning, its epoch `epochId` with the number and partitions given. */
export async function emptyDatabase(
  db: Database,
  epoch: { number: number; id: string; partitions: number },
): Promise<void> {
  await db.transaction(async (sql) => {
    await sql.query(
      'truncate messages, members, conversations, partition_checkpoints, log_epochs cascade',
    )
    await sql.query('insert into log_epochs (number, id) values ($1, $2)', [epoch.number, epoch.id])
    await sql.query(
      `insert into partition_checkpoints (partition, epoch, next_event, up_to_offset, up_to_index)
       select p, $1, 0, 0, 0 from generate_series(0, $2::int - 1) p`,
      [epoch.number, epoch.partitions],
    )
  })
}
