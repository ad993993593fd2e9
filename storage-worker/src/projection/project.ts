import type { History, Role } from '@parley/proto/frames'
import type { Batch, LoggedEvent } from './batch.ts'
import { difference, type PlacedEvent } from './compare.ts'
import type { ConversationDraft, MemberDraft, MessageDraft, SideEffects } from './draft.ts'
import { changedMembers, changedMessage, effects } from './effects.ts'
import { ProjectionStopped } from './stopped.ts'

/** What the database has of the conversations that a batch touches, all seen under the checkpoint's lock. */
export interface Loaded {
  /** By conversation; those the database does not have are absent. */
  conversations: ReadonlyMap<string, LoadedConversation>
  /** By conversation and user; those outside are absent. */
  members: ReadonlyMap<string, ReadonlyMap<string, Role>>
  /** By conversation and id; of the kind `message` only. */
  messages: ReadonlyMap<string, ReadonlyMap<string, LoadedMessage>>
  /** By conversation and seq. */
  events: ReadonlyMap<string, ReadonlyMap<number, PlacedEvent>>
}

export interface LoadedConversation {
  head: number
  history: History
  memberCount: number
}

export interface LoadedMessage {
  seq: number
  /** The seq of its `delete`. */
  deletedSeq: number | undefined
}

/** What must be loaded besides the conversations, by conversation. */
export interface Wanted {
  members: Map<string, Set<string>>
  messages: Map<string, Set<string>>
  seqs: Map<string, Set<number>>
}

/** What a batch changes. Every conversation in `drafts` has at least one new row. */
export interface Projection extends SideEffects {
  drafts: ConversationDraft[]
  /** All new rows, by conversation: written like that they lie together, and a page of history touches less. */
  rows: PlacedEvent[]
}

export function touchedConversations(batch: Batch): Set<string> {
  const ids = new Set<string>()
  for (const { conversation } of batch.events) ids.add(conversation)
  return ids
}

/** The stored events that some of the batch must equal, and the members and messages it may change. */
export function wanted(
  batch: Batch,
  conversations: ReadonlyMap<string, LoadedConversation>,
): Wanted {
  const want: Wanted = { members: new Map(), messages: new Map(), seqs: new Map() }
  for (const logged of batch.events) {
    const id = logged.conversation
    const conversation = conversations.get(id)
    if (conversation === undefined) continue
    if (logged.event.seq <= conversation.head) {
      setOf(want.seqs, id).add(logged.event.seq)
      continue
    }
    const users = guarded(batch, logged, () => changedMembers(logged))
    for (const user of users) setOf(want.members, id).add(user)
    const target = guarded(batch, logged, () => changedMessage(logged))
    if (target !== undefined) setOf(want.messages, id).add(target)
  }
  return want
}

/**
 * [R4] Applies the batch's events one by one: that with the seq head + 1 takes its place, one at or below the head must
 * equal what stands there, anything else throws `ProjectionStopped`. Nothing is filtered by position. Pure.
 */
export function project(batch: Batch, loaded: Loaded): Projection {
  const drafts = new Map<string, ConversationDraft>()
  const out: SideEffects = { erased: [], notices: [] }
  const member = (draft: ConversationDraft, user: string) => findMember(draft, user, loaded)
  const message = (draft: ConversationDraft, id: string) => findMessage(draft, id, loaded)
  for (const logged of batch.events) {
    guarded(batch, logged, () => {
      const draft = openDraft(drafts, logged, loaded)
      const { seq, kind } = logged.event
      if (seq <= draft.head) return mustBeSame(batch, draft, logged, loaded)
      if (seq !== draft.head + 1) {
        throw stop(batch, logged, `the head is ${draft.head}, so events between are missing`)
      }
      if ((kind === 'created') !== (seq === 1)) {
        throw stop(batch, logged, `an event of the kind ${kind} can't have this seq`)
      }
      draft.head = seq
      draft.rows.push(placed(batch, logged))
      effects[kind]({ draft, logged, member, message, out })
    })
  }
  const changed = [...drafts.values()].filter((d) => d.rows.length > 0)
  return { drafts: changed, rows: changed.flatMap((d) => d.rows), ...out }
}

function openDraft(
  drafts: Map<string, ConversationDraft>,
  { event, conversation: id }: LoggedEvent,
  loaded: Loaded,
): ConversationDraft {
  const open = drafts.get(id)
  if (open !== undefined) return open
  const stored = loaded.conversations.get(id)
  const draft: ConversationDraft = {
    id,
    idBytes: event.conversation,
    storedHead: stored?.head ?? 0,
    head: stored?.head ?? 0,
    history: stored?.history ?? 'all',
    memberCount: stored?.memberCount ?? 0,
    created: undefined,
    title: undefined,
    rows: [],
    members: new Map(),
    reads: new Map(),
    placed: new Map(),
    messages: new Map(),
  }
  drafts.set(id, draft)
  return draft
}

function findMember(draft: ConversationDraft, user: string, loaded: Loaded): MemberDraft {
  const open = draft.members.get(user)
  if (open !== undefined) return open
  const stored = loaded.members.get(draft.id)?.get(user)
  const member: MemberDraft = { stored, role: stored, fresh: undefined }
  draft.members.set(user, member)
  return member
}

function findMessage(
  draft: ConversationDraft,
  id: string,
  loaded: Loaded,
): MessageDraft | undefined {
  const open = draft.messages.get(id)
  if (open !== undefined) return open
  const stored = loaded.messages.get(draft.id)?.get(id)
  const seq = stored?.seq ?? draft.placed.get(id)
  if (seq === undefined) return undefined
  const { deletedSeq } = stored ?? {}
  const message: MessageDraft = { seq, deletedSeq, edit: undefined, reactions: new Map() }
  draft.messages.set(id, message)
  return message
}

function mustBeSame(
  batch: Batch,
  draft: ConversationDraft,
  logged: LoggedEvent,
  loaded: Loaded,
): void {
  const { seq } = logged.event
  const there =
    seq > draft.storedHead
      ? draft.rows[seq - draft.storedHead - 1]
      : loaded.events.get(draft.id)?.get(seq)
  if (there === undefined) {
    throw stop(batch, logged, `the head is ${draft.head}, but the event with this seq is not there`)
  }
  const part = difference(there, placed(batch, logged))
  if (part === undefined) return
  throw stop(batch, logged, `another event has this place: its ${part} differs`)
}

function placed({ epoch }: Batch, { event, offset, index, hash }: LoggedEvent): PlacedEvent {
  return { event, epoch, offset, index, hash }
}

/** Whatever goes wrong with an event stops the partition at its record. */
function guarded<T>(batch: Batch, logged: LoggedEvent, work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof ProjectionStopped) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw stop(batch, logged, reason, { cause: error })
  }
}

function stop(
  { partition }: Batch,
  { record, conversation, event }: LoggedEvent,
  reason: string,
  options?: ErrorOptions,
): ProjectionStopped {
  const where = { partition, offset: record, conversation, seq: event.seq }
  return new ProjectionStopped(where, reason, options)
}

function setOf<T>(map: Map<string, Set<T>>, key: string): Set<T> {
  const present = map.get(key)
  if (present !== undefined) return present
  const fresh = new Set<T>()
  map.set(key, fresh)
  return fresh
}
