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
}

export function encodeConversationPublish(p: ConversationPublish): Buffer {
  return pack(
    p.removed.length === 0
      ? [p.firstSeq, p.frames]
      : [p.firstSeq, p.frames, p.removed.map((r) => [r.seq, parseId(r.user)])],
  )
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
  const [frames, removed] = rest as [Uint8Array[], [number, Uint8Array][]?]
  if (!Number.isSafeInteger(first) || first < 0 || !Array.isArray(frames)) {
    throw new Error('no payload of a conversation')
  }
  return {
    type: 'events',
    firstSeq: first,
    frames,
    removed: (removed ?? []).map(([seq, user]) => ({ seq, user: formatId(user) })),
  }
}

export type UserNotice =
  /** The user belongs to the conversation from event `seq` on; `from` is the first seq it may see. */
  | { type: 'added'; conversation: string; seq: number; from: number }
  /** The user left or was removed by event `seq`. */
  | { type: 'removed'; conversation: string; seq: number }
  /** Title, history or a role changed. */
  | { type: 'updated'; conversation: string; seq: number }
  /** One session ended, or (without `session`) all of the user's. */
  | { type: 'revoked'; session?: string }

const noticeCodes = { added: 1, removed: 2, updated: 3, revoked: 4 } as const

export function encodeUserNotice(n: UserNotice): Buffer {
  if (n.type === 'revoked') {
    return pack(
      n.session === undefined ? [noticeCodes.revoked] : [noticeCodes.revoked, parseId(n.session)],
    )
  }
  const row = [noticeCodes[n.type], parseId(n.conversation), n.seq]
  return pack(n.type === 'added' ? [...row, n.from] : row)
}

export function decodeUserNotice(payload: Uint8Array): UserNotice {
  const [code, id, seq, from] = unpack(payload) as [number, Uint8Array?, number?, number?]
  if (code === noticeCodes.revoked) {
    return id ? { type: 'revoked', session: formatId(id) } : { type: 'revoked' }
  }
  const where = { conversation: formatId(id as Uint8Array), seq: seq as number }
  if (code === noticeCodes.added) return { type: 'added', ...where, from: from as number }
  if (code === noticeCodes.removed) return { type: 'removed', ...where }
  if (code === noticeCodes.updated) return { type: 'updated', ...where }
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
