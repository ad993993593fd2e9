import type { RawEvent } from '@parley/proto/event-frame'
import type { EventBody, EventKind, History, Role } from '@parley/proto/frames'
import { formatId, parseId } from '@parley/proto/ids'
import { pack, unpack } from '@parley/proto/pack'
import type { Batch } from '../projection/batch.ts'
import type { PlacedEvent } from '../projection/compare.ts'
import {
  type Loaded,
  type LoadedMessage,
  type Projection,
  project,
  touchedConversations,
  wanted,
} from '../projection/project.ts'
import { keyOf, type MessageRow, messageRow, type Tables, totalsOf } from './tables.ts'

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
  const messages = new Map<string, Map<string, LoadedMessage>>()
  for (const [id, targets] of want.messages) {
    const found = new Map<string, LoadedMessage>()
    for (const [key, row] of tables.messages) {
      const [conversation, seq] = key.split('/')
      if (conversation !== id || row.kind !== 'message' || !targets.has(row.id)) continue
      found.set(row.id, { seq: Number(seq), deletedSeq: row.deletedSeq ?? undefined })
    }
    messages.set(id, found)
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
  return project(batch, { conversations, members, messages, events })
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
  for (const draft of projection.drafts) changeMessages(tables, draft)
  for (const { conversation, target, messageSeq, seq } of projection.erased) {
    const id = formatId(conversation)
    eraseMessage(tables, { id, target: formatId(target), messageSeq, seq })
  }
  tables.totals = totalsOf(tables.reactions)
}

function changeMessages(tables: Tables, draft: Projection['drafts'][number]): void {
  for (const { seq: messageSeq, edit, reactions } of draft.messages.values()) {
    const row = tables.messages.get(keyOf(draft.id, messageSeq))
    if (row?.kind !== 'message') throw new Error('a change of what is no message')
    if (edit !== undefined) row.edited = { at: edit.at, body: unpack(edit.body) as EventBody }
    for (const { user, emoji, removed, addedSeq } of reactions.values()) {
      const key = keyOf(draft.id, messageSeq, formatId(user), emoji)
      if (removed) tables.reactions.delete(key)
      if (addedSeq !== undefined && !tables.reactions.has(key)) tables.reactions.set(key, addedSeq)
    }
  }
}

interface Erased {
  id: string
  target: string
  messageSeq: number
  seq: number
}

function eraseMessage(tables: Tables, { id, target, messageSeq, seq }: Erased): void {
  for (const [key, row] of tables.messages) {
    if (!key.startsWith(`${id}/`)) continue
    if (row.kind === 'edit' && row.target === target) row.body = null
    if (key === keyOf(id, messageSeq)) {
      Object.assign(row, { body: null, edited: null, deletedSeq: seq })
    }
  }
  for (const key of tables.reactions.keys()) {
    if (key.startsWith(`${keyOf(id, messageSeq)}/`)) tables.reactions.delete(key)
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
