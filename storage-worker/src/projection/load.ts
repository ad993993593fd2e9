import type { Sql } from '@parley/platform/ports/database'
import { eventKindCodes, eventKindOf } from '@parley/proto/event-frame'
import type { History, Role } from '@parley/proto/frames'
import { parseId } from '@parley/proto/ids'
import type { Checkpoint } from './batch.ts'
import { int8s, uuids } from './columns.ts'
import type { PlacedEvent } from './compare.ts'
import type { Loaded, LoadedConversation, LoadedMessage, Wanted } from './project.ts'

interface CheckpointRow {
  epoch: number
  next_event: number
  up_to_offset: number
  up_to_index: number
}

const checkpointSql =
  'select epoch, next_event, up_to_offset, up_to_index from partition_checkpoints where partition = $1'

/** Undefined when the partition has never been claimed. */
export async function readCheckpoint(sql: Sql, partition: number): Promise<Checkpoint | undefined> {
  const rows = await sql.query<CheckpointRow>(checkpointSql, [partition], 'storage-checkpoint')
  return rows.map(checkpointOf)[0]
}

/** The same, and until the transaction ends no other one gets past this line for this partition. */
export async function lockCheckpoint(sql: Sql, partition: number): Promise<Checkpoint | undefined> {
  const rows = await sql.query<CheckpointRow>(
    `${checkpointSql} for update`,
    [partition],
    'storage-checkpoint-lock',
  )
  return rows.map(checkpointOf)[0]
}

function checkpointOf(row: CheckpointRow): Checkpoint {
  const upTo = { offset: row.up_to_offset, index: row.up_to_index }
  return { epoch: row.epoch, next: row.next_event, upTo }
}

export async function loadConversations(
  sql: Sql,
  ids: ReadonlySet<string>,
): Promise<Map<string, LoadedConversation>> {
  const rows = await sql.query<{
    id: string
    head: number
    history: History
    member_count: number
  }>(
    'select id, head, history, member_count from conversations where id = any($1::uuid[])',
    [uuids([...ids].map(parseId))],
    'storage-conversations',
  )
  return new Map(
    rows.map(({ id, head, history, member_count }) => [
      id,
      { head, history, memberCount: member_count },
    ]),
  )
}

export async function loadMembers(sql: Sql, want: Wanted['members']): Promise<Loaded['members']> {
  const pairs = [...want].flatMap(([id, users]) => [...users].map((user) => [id, user] as const))
  const found = new Map<string, Map<string, Role>>()
  if (pairs.length === 0) return found
  const rows = await sql.query<{ conversation_id: string; user_id: string; role: Role }>(
    `select m.conversation_id, m.user_id, m.role
     from unnest($1::uuid[], $2::uuid[]) as q (conversation_id, user_id)
     join members m on m.conversation_id = q.conversation_id and m.user_id = q.user_id`,
    [uuids(pairs.map(([id]) => parseId(id))), uuids(pairs.map(([, user]) => parseId(user)))],
    'storage-members',
  )
  for (const row of rows) mapOf(found, row.conversation_id).set(row.user_id, row.role)
  return found
}

export async function loadMessages(
  sql: Sql,
  want: Wanted['messages'],
): Promise<Loaded['messages']> {
  const pairs = [...want].flatMap(([id, targets]) => [...targets].map((t) => [id, t] as const))
  const found = new Map<string, Map<string, LoadedMessage>>()
  if (pairs.length === 0) return found
  const rows = await sql.query<{
    conversation_id: string
    id: string
    seq: number
    deleted_seq: number | null
  }>(
    `select m.conversation_id, m.id, m.seq, m.deleted_seq
     from unnest($1::uuid[], $2::uuid[]) as q (conversation_id, id)
     join messages m on m.conversation_id = q.conversation_id and m.id = q.id
     where m.kind = ${eventKindCodes.message}`,
    [uuids(pairs.map(([id]) => parseId(id))), uuids(pairs.map(([, target]) => parseId(target)))],
    'storage-messages',
  )
  for (const { conversation_id, id, seq, deleted_seq } of rows) {
    mapOf(found, conversation_id).set(id, { seq, deletedSeq: deleted_seq ?? undefined })
  }
  return found
}

interface EventRow {
  conversation_id: string
  conversation: Buffer
  seq: number
  id: Buffer
  kind: number
  sender: Buffer
  at: number
  target: Buffer | null
  body: Buffer | null
  hash: Buffer
  epoch: number
  command_offset: number
  command_index: number
}

export async function loadEvents(sql: Sql, want: Wanted['seqs']): Promise<Loaded['events']> {
  const pairs = [...want].flatMap(([id, seqs]) => [...seqs].map((seq) => [id, seq] as const))
  const found = new Map<string, Map<number, PlacedEvent>>()
  if (pairs.length === 0) return found
  const rows = await sql.query<EventRow>(
    `select m.conversation_id, uuid_send(m.conversation_id) as conversation, m.seq, uuid_send(m.id) as id, m.kind,
            uuid_send(m.sender) as sender, m.at, uuid_send(m.target) as target, m.body, m.hash, m.epoch,
            m.command_offset, m.command_index
     from unnest($1::uuid[], $2::int8[]) as q (conversation_id, seq)
     join messages m on m.conversation_id = q.conversation_id and m.seq = q.seq`,
    [uuids(pairs.map(([id]) => parseId(id))), int8s(pairs.map(([, seq]) => seq))],
    'storage-events',
  )
  for (const row of rows) mapOf(found, row.conversation_id).set(row.seq, placedOf(row))
  return found
}

function placedOf(row: EventRow): PlacedEvent {
  const { conversation, seq, id, sender, at, target, body } = row
  return {
    event: { conversation, seq, id, kind: eventKindOf(row.kind), sender, at, target, body },
    epoch: row.epoch,
    offset: row.command_offset,
    index: row.command_index,
    hash: row.hash,
  }
}

function mapOf<K, V>(maps: Map<string, Map<K, V>>, key: string): Map<K, V> {
  const present = maps.get(key)
  if (present !== undefined) return present
  const fresh = new Map<K, V>()
  maps.set(key, fresh)
  return fresh
}
