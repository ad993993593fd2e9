import type {
  CreatedBody,
  EventKind,
  ReactionBody,
  RoleBody,
  UpdatedBody,
  UsersBody,
} from '@parley/proto/frames'
import { formatId } from '@parley/proto/ids'
import { unpack } from '@parley/proto/pack'
import type { LoggedEvent } from './batch.ts'
import type { PlacedEvent } from './compare.ts'
import type { ConversationDraft, MemberDraft, MessageDraft, SideEffects } from './draft.ts'

/** A member's draft as it is now: loaded, or made by this batch. */
export type FindMember = (draft: ConversationDraft, user: string) => MemberDraft

/** A message of the conversation as it is now; undefined where there is none with that id. */
export type FindMessage = (draft: ConversationDraft, id: string) => MessageDraft | undefined

export interface EffectContext {
  draft: ConversationDraft
  logged: LoggedEvent
  member: FindMember
  message: FindMessage
  out: SideEffects
}

type Effect = (context: EffectContext) => void

/** What an event changes besides taking its row and moving the head. */
export const effects: Record<EventKind, Effect> = {
  created,
  message,
  edit,
  delete: erase,
  reaction,
  joined,
  left,
  role,
  updated,
}

/** The users whose membership an event changes; whether they are members must be known before it is applied. */
export function changedMembers(logged: LoggedEvent): string[] {
  switch (logged.event.kind) {
    case 'joined':
    case 'left':
      return bodyOf<UsersBody>(logged).users
    case 'role':
      return [bodyOf<RoleBody>(logged).user]
    default:
      return []
  }
}

/** The message whose present state an event changes; it must be known before it is applied. */
export function changedMessage({ event }: LoggedEvent): string | undefined {
  const { kind, target } = event
  if (kind !== 'edit' && kind !== 'delete' && kind !== 'reaction') return undefined
  if (target === null) throw new Error(`an event of the kind ${kind} without its target`)
  return formatId(target)
}

function created({ draft, logged, out }: EffectContext): void {
  const { kind, title, users } = bodyOf<CreatedBody>(logged)
  const { event, hash, history } = logged
  if (history === undefined) throw new Error('a conversation is created without its history rule')
  draft.created = { kind, title: title ?? null, hash, at: event.at }
  draft.history = history
  const sender = formatId(event.sender)
  for (const user of new Set([sender, ...users])) {
    const role = kind !== 'direct' && user === sender ? 'owner' : 'member'
    draft.members.set(user, {
      stored: undefined,
      role,
      fresh: { fromSeq: 1, joinedSeq: 1, readSeq: 0 },
    })
    out.notices.push({
      user,
      notice: { type: 'added', conversation: draft.id, seq: event.seq, from: 1 },
    })
  }
  draft.memberCount = draft.members.size
}

function message({ draft, logged }: EffectContext): void {
  draft.placed.set(formatId(logged.event.id), logged.event.seq)
  const sender = formatId(logged.event.sender)
  const fresh = draft.members.get(sender)?.fresh
  if (fresh === undefined) draft.reads.set(sender, logged.event.seq)
  else fresh.readSeq = logged.event.seq
}

/** [G6] An edit of what is deleted already keeps its place and not its body. */
function edit(context: EffectContext): void {
  const { draft, logged } = context
  const target = targetOf(context)
  if (target === undefined) return
  const { at, body } = logged.event
  if (body === null) throw new Error('an edit without a body')
  if (target.deletedSeq === undefined) target.edit = { at, body }
  else eraseLast(draft)
}

function eraseLast({ rows }: ConversationDraft): void {
  const last = rows.pop() as PlacedEvent
  rows.push({ ...last, event: { ...last.event, body: null } })
}

function erase(context: EffectContext): void {
  const { draft, logged, out } = context
  const { target: id, seq } = logged.event
  const target = targetOf(context)
  if (target === undefined || target.deletedSeq !== undefined) return
  target.deletedSeq = seq
  const messageSeq = target.seq
  out.erased.push({ conversation: draft.idBytes, target: id as Uint8Array, messageSeq, seq })
}

function reaction(context: EffectContext): void {
  const { sender: user, seq } = context.logged.event
  const target = targetOf(context)
  if (target === undefined || target.deletedSeq !== undefined) return
  const { emoji, remove } = bodyOf<ReactionBody>(context.logged)
  const key = formatId(user) + emoji
  const before = target.reactions.get(key)
  const { removed, addedSeq } = before ?? { removed: false, addedSeq: undefined }
  target.reactions.set(
    key,
    remove === true
      ? { user, emoji, removed: true, addedSeq: undefined }
      : { user, emoji, removed, addedSeq: addedSeq ?? seq },
  )
}

function targetOf({ draft, logged, message }: EffectContext): MessageDraft | undefined {
  const id = changedMessage(logged)
  return id === undefined ? undefined : message(draft, id)
}

function joined({ draft, logged, member, out }: EffectContext): void {
  const { seq } = logged.event
  const fromSeq = draft.history === 'all' ? 1 : seq
  for (const user of changedMembers(logged)) {
    const m = member(draft, user)
    if (m.role !== undefined) continue
    m.role = 'member'
    m.fresh = { fromSeq, joinedSeq: seq, readSeq: 0 }
    draft.reads.delete(user)
    draft.memberCount += 1
    out.notices.push({
      user,
      notice: { type: 'added', conversation: draft.id, seq, from: fromSeq },
    })
  }
}

function left({ draft, logged, member, out }: EffectContext): void {
  const { seq } = logged.event
  for (const user of changedMembers(logged)) {
    const m = member(draft, user)
    if (m.role === undefined) continue
    m.role = undefined
    m.fresh = undefined
    draft.reads.delete(user)
    draft.memberCount -= 1
    out.notices.push({ user, notice: { type: 'removed', conversation: draft.id, seq } })
  }
}

function role({ draft, logged, member, out }: EffectContext): void {
  const { user, role } = bodyOf<RoleBody>(logged)
  const m = member(draft, user)
  if (m.role === undefined) return
  m.role = role
  out.notices.push({
    user,
    notice: { type: 'updated', conversation: draft.id, seq: logged.event.seq },
  })
}

function updated({ draft, logged }: EffectContext): void {
  draft.title = bodyOf<UpdatedBody>(logged).title
}

function bodyOf<Body>(logged: LoggedEvent): Body {
  const { body, kind } = logged.event
  if (body === null) throw new Error(`an event of the kind ${kind} without a body`)
  return unpack(body) as Body
}
