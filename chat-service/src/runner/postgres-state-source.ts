import type { Database, Sql } from '@parley/platform/ports/database'
import { eventKindOf } from '@parley/proto/event-frame'
import type { ConversationKind, History, Role } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { type Position, startOf } from '@parley/proto/position'
import type { Found } from '../sequencer/outcome.ts'
import {
  type ConversationState,
  emptyConversation,
  type KeptId,
  keep,
  loadedFloor,
} from '../sequencer/state.ts'
import {
  type Checkpoint,
  EpochChanged,
  type Loaded,
  type LoadRequest,
  lookupKey,
  type StateSource,
} from './state-source.ts'

interface ConversationRow {
  id: string
  kind: ConversationKind
  title: string | null
  history: History
  head: number
  last_at: number
  last_epoch: number
  last_offset: number
  last_index: number
  created_at: number
  created_hash: Buffer
  member_count: number
}

interface EventRow {
  conversation_id: string
  id: string
  seq: number
  at: number
  hash: Buffer
  epoch: number
  command_offset: number
  command_index: number
  kind: number
  sender: string
  target: string | null
  deleted_seq: number | null
}

const eventColumns = `m.conversation_id, m.id, m.seq, m.at, m.hash, m.epoch, m.command_offset, m.command_index,
  m.kind, m.sender, m.target, m.deleted_seq`

/** States and ids out of the primary: a replica may lag behind what this owner has already seen ([R6]). */
export function createPostgresStateSource(db: Database, epoch: number): StateSource {
  return {
    load: (partition, requests) =>
      db.snapshot(async (sql) => {
        const checkpoint = await readCheckpoint(sql, partition, epoch)
        const wanted = requests.filter((r) => r.state).map((r) => r.conversation)
        const { states, left } = await readStates(sql, wanted)
        return { checkpoint, states, left, lookups: await lookUp(sql, requests) }
      }),
    checkpoint: (partition) => db.snapshot((sql) => readCheckpoint(sql, partition, epoch)),
  }
}

async function readCheckpoint(sql: Sql, partition: number, epoch: number): Promise<Checkpoint> {
  const rows = await sql.query<{
    epoch: number
    next_event: number
    up_to_offset: number
    up_to_index: number
  }>(
    'select epoch, next_event, up_to_offset, up_to_index from partition_checkpoints where partition = $1',
    [partition],
    'runner-checkpoint',
  )
  const row = rows[0]
  if (row === undefined) return { nextEvent: 0, upTo: startOf(epoch) }
  if (row.epoch !== epoch) {
    throw new EpochChanged(
      `partition ${partition} is checkpointed in epoch ${row.epoch} of the log, this is ${epoch}`,
    )
  }
  const upTo = { epoch: row.epoch, offset: row.up_to_offset, index: row.up_to_index }
  return { nextEvent: row.next_event, upTo }
}

/**
 * Kept ids and members that one snapshot reads, a single conversation aside: some tens of megabytes here, and well within
 * a statement's time.
 */
const maxRows = 50_000

async function readStates(sql: Sql, ids: string[]): Promise<Pick<Loaded, 'states' | 'left'>> {
  const states = new Map<string, ConversationState>()
  const left = new Set<string>()
  if (ids.length === 0) return { states, left }
  const conversations = await sql.query<ConversationRow>(
    `select id, kind, title, history, head, last_at, last_epoch, last_offset, last_index, created_at, created_hash,
       member_count
     from conversations where id = any($1::uuid[])`,
    [ids],
    'runner-conversations',
  )
  let rows = 0
  for (const row of conversations) {
    rows += Math.min(row.head, limits.keptIds) + row.member_count
    if (rows > maxRows && states.size > 0) left.add(row.id)
    else states.set(row.id, stateOf(row))
  }
  if (states.size === 0) return { states, left }
  const found = [...states.keys()]
  const members = await sql.query<{
    conversation_id: string
    user_id: string
    role: Role
    from_seq: number
  }>(
    'select conversation_id, user_id, role, from_seq from members where conversation_id = any($1::uuid[])',
    [found],
    'runner-members',
  )
  for (const m of members) {
    states.get(m.conversation_id)?.members.set(m.user_id, { role: m.role, from: m.from_seq })
  }
  const kept = await sql.query<EventRow>(
    `select ${eventColumns}
     from unnest($1::uuid[], $2::int8[]) as c (id, oldest)
     join messages m on m.conversation_id = c.id and m.seq > c.oldest
     order by m.conversation_id, m.seq`,
    [found, found.map((id) => (states.get(id)?.head ?? 0) - limits.keptIds)],
    'runner-kept',
  )
  for (const row of kept) {
    const state = states.get(row.conversation_id)
    if (state !== undefined) keep(state, row.id, keptOf(row))
  }
  for (const state of states.values()) state.floor = loadedFloor(state.head, state.kept)
  return { states, left }
}

async function lookUp(sql: Sql, requests: LoadRequest[]): Promise<Loaded['lookups']> {
  const lookups = new Map<string, Found | null>()
  const conversations: string[] = []
  const ids: string[] = []
  for (const request of requests) {
    for (const id of request.ids) {
      conversations.push(request.conversation)
      ids.push(id)
      lookups.set(lookupKey(request.conversation, id), null)
    }
  }
  if (ids.length === 0) return lookups
  const rows = await sql.query<EventRow>(
    `select ${eventColumns}
     from unnest($1::uuid[], $2::uuid[]) as q (conversation, id)
     join messages m on m.conversation_id = q.conversation and m.id = q.id`,
    [conversations, ids],
    'runner-lookup',
  )
  for (const row of rows) lookups.set(lookupKey(row.conversation_id, row.id), foundOf(row))
  return lookups
}

function stateOf(row: ConversationRow): ConversationState {
  return {
    ...emptyConversation(row.id),
    kind: row.kind,
    title: row.title ?? undefined,
    history: row.history,
    head: row.head,
    lastAt: row.last_at,
    lastPosition: { epoch: row.last_epoch, offset: row.last_offset, index: row.last_index },
    createdHash: row.created_hash.toString('latin1'),
    createdAt: row.created_at,
  }
}

function keptOf(row: EventRow): KeptId {
  const position: Position = {
    epoch: row.epoch,
    offset: row.command_offset,
    index: row.command_index,
  }
  const { seq, at, sender } = row
  const kind = eventKindOf(row.kind)
  const kept: KeptId = { hash: row.hash.toString('latin1'), seq, at, position, kind, sender }
  if (row.target !== null) kept.target = row.target
  return kept
}

function foundOf(row: EventRow): Found {
  const kept = keptOf(row)
  return row.deleted_seq === null ? kept : { ...kept, deletedSeq: row.deleted_seq }
}
