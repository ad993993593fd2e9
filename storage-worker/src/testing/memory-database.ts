import type { RawEvent } from '@parley/proto/event-frame'
import type { EventKind, History, Role } from '@parley/proto/frames'
import { formatId, parseId } from '@parley/proto/ids'
import { pack } from '@parley/proto/pack'
import type { Batch } from '../projection/batch.ts'
import type { PlacedEvent } from '../projection/compare.ts'
import {
  type Loaded,
  type Projection,
  project,
  touchedConversations,
  wanted,
} from '../projection/project.ts'
import { keyOf, type MessageRow, messageRow, type Tables } from './tables.ts'

/** `load.ts` and `write.ts` on maps, so that the pure projection can be tried many thousand times. */
export function projectInMemory(tables: Tables, batch: Batch): Projection {
  const conversations: Loaded['conversations'] = new Map(
    [...touchedConversations(batch)].flatMap((id) => {
      const row = tables.conversations.get(id)
      if (row === undefined) return []
      const { head, memberCount } = row
      return [[id, { head, history: row.history as History, memberCount }] as const]
    }),
  )
  const want = wanted(batch, conversations)
  const members = new Map<string, Map<string, Role>>()
  for (const [id, users] of want.members) {
    const found = new Map<string, Role>()
    for (const user of users) {
      const row = tables.members.get(keyOf(id, user))
      if (row !== undefined) found.set(user, row.role as Role)
    }
    members.set(id, found)
  }
  const events = new Map<string, Map<number, PlacedEvent>>()
  for (const [id, seqs] of want.seqs) {
    const found = new Map<number, PlacedEvent>()
    for (const seq of seqs) {
      const row = tables.messages.get(keyOf(id, seq))
      if (row !== undefined) found.set(seq, placedOf(id, seq, row))
    }
    events.set(id, found)
  }
  return project(batch, { conversations, members, events })
}

function placedOf(conversation: string, seq: number, row: MessageRow): PlacedEvent {
  const event: RawEvent = {
    conversation: parseId(conversation),
    seq,
    id: parseId(row.id),
    kind: row.kind as EventKind,
    sender: parseId(row.sender),
    at: row.at,
    body: row.body === null ? null : pack(row.body),
    target: row.target === null ? null : parseId(row.target),
  }
  const [epoch, offset, index] = row.position
  return { event, epoch, offset, index, hash: Buffer.from(row.hash, 'hex') }
}

export function writeInMemory(tables: Tables, projection: Projection, epoch: number): void {
  for (const { event, hash, offset, index } of projection.rows) {
    const key = keyOf(formatId(event.conversation), event.seq)
    if (tables.messages.has(key)) throw new Error(`${key} is there already`)
    tables.messages.set(key, messageRow({ event, hash, position: [epoch, offset, index] }))
  }
  for (const draft of projection.drafts) writeConversation(tables, draft, epoch)
  for (const { conversation, target, seq } of projection.erased) {
    for (const [key, row] of tables.messages) {
      const [id, at] = key.split('/')
      if (id !== formatId(conversation) || Number(at) >= seq) continue
      const edits = row.kind === 'edit' && row.target === formatId(target)
      if (row.id === formatId(target) || edits) row.body = null
    }
  }
}

function writeConversation(
  tables: Tables,
  draft: Projection['drafts'][number],
  epoch: number,
): void {
  const last = draft.rows.at(-1) as PlacedEvent
  const before = tables.conversations.get(draft.id)
  if ((before === undefined) !== (draft.created !== undefined)) throw new Error('created twice')
  tables.conversations.set(draft.id, {
    kind: draft.created?.kind ?? String(before?.kind),
    title: draft.title ?? draft.created?.title ?? before?.title ?? null,
    history: draft.history,
    head: draft.head,
    lastAt: last.event.at,
    lastPosition: [epoch, last.offset, last.index],
    createdAt: draft.created?.at ?? Number(before?.createdAt),
    createdHash:
      draft.created === undefined
        ? String(before?.createdHash)
        : Buffer.from(draft.created.hash).toString('hex'),
    memberCount: draft.memberCount,
  })
  for (const [user, { stored, role, fresh }] of draft.members) {
    const key = keyOf(draft.id, user)
    const row = tables.members.get(key)
    if ((row === undefined) !== (stored === undefined)) throw new Error('a member not loaded')
    if (role === undefined) tables.members.delete(key)
    else if (fresh !== undefined) {
      const { fromSeq: from, joinedSeq: joined, readSeq: read } = fresh
      tables.members.set(key, { role, from, joined, read })
    } else if (row !== undefined) row.role = role
  }
  for (const [user, seq] of draft.reads) {
    const row = tables.members.get(keyOf(draft.id, user))
    if (row !== undefined) row.read = Math.max(row.read, seq)
  }
}
