import { formatId, parseId } from './ids.ts'
import { pack, unpack } from './pack.ts'

/**
 * What travels over the bus between services. All of it may be lost; whoever misses it learns from `seq` and heads.
 *
 * - `conversation:<id>`: events, published by the partition's owner as soon as they are decided.
 *   Besides, from gateways: who is typing and how far someone has read, to be shown and forgotten ([G10]).
 * - `user:<id>`: what all connections of one user must know: membership changes, revocation.
 * - `presence:<user>`: that user's presence, when it changes (see `session-records.ts`).
 * - `projected:<partition>`: heads that storage-worker has just committed, so that who waits for a read can look again.
 */
export const channels = {
  conversation: (id: string) => `conversation:${id}`,
  user: (id: string) => `user:${id}`,
  presence: (user: string) => `presence:${user}`,
  projected: (partition: number) => `projected:${partition}`,
} as const

/** Neighbouring events of one conversation. */
export interface ConversationPublish {
  firstSeq: number
  /** `event` frames as MessagePack, one a seq, from `firstSeq` on. */
  frames: Uint8Array[]
  /** Users removed by the event with that seq: they get it, and nothing after it. */
  removed: { seq: number; user: string }[]
  /** The last of these events that added members; absent: none did. */
  joined?: number
  /** The last of these events that changed the title; absent: none did. */
  updated?: number
}

export function encodeConversationPublish(p: ConversationPublish): Buffer {
  const row: unknown[] = [p.firstSeq, p.frames]
  const { joined = 0, updated = 0 } = p
  if (p.removed.length > 0 || joined > 0 || updated > 0) {
    row.push(p.removed.map((r) => [r.seq, parseId(r.user)]))
  }
  if (joined > 0 || updated > 0) row.push(joined, updated)
  return pack(row)
}

export function decodeConversationPublish(payload: Uint8Array): ConversationPublish {
  const publish = decodeConversationPayload(payload)
  if (publish.type !== 'events') throw new Error(`no events but ${publish.type}`)
  const { type: _, ...events } = publish
  return events
}

/** What is shown and forgotten; `origin` is the connection it came from. */
export type ConversationSignal =
  | { type: 'typing'; user: string; active: boolean; origin: string }
  | { type: 'read'; user: string; seq: number }

export type ConversationPayload = ({ type: 'events' } & ConversationPublish) | ConversationSignal

/** Below every seq, so that events need no code of their own. */
const signalCodes = { typing: -1, read: -2 } as const

export function encodeConversationSignal(s: ConversationSignal): Buffer {
  return pack(
    s.type === 'typing'
      ? [signalCodes.typing, parseId(s.user), s.active, parseId(s.origin)]
      : [signalCodes.read, parseId(s.user), s.seq],
  )
}

/** Throws when the bytes are no payload of a conversation's channel. */
export function decodeConversationPayload(payload: Uint8Array): ConversationPayload {
  const [first, ...rest] = unpack(payload) as [number, ...unknown[]]
  if (first === signalCodes.typing) {
    const [user, active, origin] = rest as [Uint8Array, boolean, Uint8Array]
    return { type: 'typing', user: formatId(user), active, origin: formatId(origin) }
  }
  if (first === signalCodes.read) {
    const [user, seq] = rest as [Uint8Array, number]
    return { type: 'read', user: formatId(user), seq }
  }
  const [frames, removed, joined, updated] = rest as PublishParts
  if (!Number.isSafeInteger(first) || first < 0 || !Array.isArray(frames)) {
    throw new Error('no payload of a conversation')
  }
  const publish: ConversationPublish = {
    firstSeq: first,
    frames,
    removed: (removed ?? []).map(([seq, user]) => ({ seq, user: formatId(user) })),
  }
  if (joined) publish.joined = joined
  if (updated) publish.updated = updated
  return { type: 'events', ...publish }
}

type PublishParts = [Uint8Array[], [number, Uint8Array][]?, number?, number?]

export type UserNotice =
  /** The user belongs to the conversation from event `seq` on; `from` is the first seq it may see. */
  | { type: 'added'; conversation: string; seq: number; from: number }
  /** The user left or was removed by event `seq`. */
  | { type: 'removed'; conversation: string; seq: number }
  /** The user's role changed. */
  | { type: 'updated'; conversation: string; seq: number }
  /** One session ended, or (without `session`) all of the user's. */
  | { type: 'revoked'; session?: string }
  /** The user has read up to `seq`, as one of its connections, `origin`, or REST (without `origin`) has said. */
  | { type: 'read'; conversation: string; seq: number; origin?: string }

const noticeCodes = { added: 1, removed: 2, updated: 3, revoked: 4, read: 5 } as const

export function encodeUserNotice(n: UserNotice): Buffer {
  if (n.type === 'revoked') {
    return pack(
      n.session === undefined ? [noticeCodes.revoked] : [noticeCodes.revoked, parseId(n.session)],
    )
  }
  const row = [noticeCodes[n.type], parseId(n.conversation), n.seq]
  if (n.type === 'added') row.push(n.from)
  if (n.type === 'read' && n.origin !== undefined) row.push(parseId(n.origin))
  return pack(row)
}

/** Throws when the bytes are no notice. */
export function decodeUserNotice(payload: Uint8Array): UserNotice {
  const [code, id, seq, last] = unpack(payload) as [
    number,
    Uint8Array?,
    number?,
    (number | Uint8Array)?,
  ]
  if (code === noticeCodes.revoked) {
    return id ? { type: 'revoked', session: formatId(id) } : { type: 'revoked' }
  }
  const where = { conversation: formatId(id as Uint8Array), seq: seq as number }
  if (code === noticeCodes.added) return { type: 'added', ...where, from: last as number }
  if (code === noticeCodes.removed) return { type: 'removed', ...where }
  if (code === noticeCodes.updated) return { type: 'updated', ...where }
  if (code === noticeCodes.read) {
    return last instanceof Uint8Array
      ? { type: 'read', ...where, origin: formatId(last) }
      : { type: 'read', ...where }
  }
  throw new Error(`no user notice has the code ${code}`)
}

/** Heads now readable from the database, by conversation. */
export function encodeProjected(heads: ReadonlyMap<string, number>): Buffer {
  return pack([...heads].map(([id, head]) => [parseId(id), head]))
}

export function decodeProjected(payload: Uint8Array): Map<string, number> {
  const rows = unpack(payload) as [Uint8Array, number][]
  return new Map(rows.map(([id, head]) => [formatId(id), head]))
}
