import { formatId, parseId } from './ids.ts'
import { pack, unpack } from './pack.ts'

/**
 * What travels over the bus between services. All of it may be lost; whoever misses it learns from `seq` and heads.
 *
 * - `conversation:<id>`: events, published by the partition's owner as soon as they are decided.
 * - `user:<id>`: what all connections of one user must know: membership changes, revocation.
 * - `projected:<partition>`: heads that storage-worker has just committed, so that who waits for a read can look again.
 */
export const channels = {
  conversation: (id: string) => `conversation:${id}`,
  user: (id: string) => `user:${id}`,
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
  const [firstSeq, frames, removed] = unpack(payload) as [
    number,
    Uint8Array[],
    [number, Uint8Array][]?,
  ]
  return {
    firstSeq,
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
