import { createHmac, timingSafeEqual } from 'node:crypto'
import { formatId, parseId } from '@parley/proto/ids'

/**
 * A refresh token is made from its session, its number in it and the server's key; none is stored. So the one just
 * used can give its successor a second time, and a stolen table holds no token.
 */
export interface RefreshClaim {
  session: string
  /** The first token of a session is 0; each use gives the next. */
  number: number
}

const prefix = 'prt1.'
const claimBytes = 20
const macBytes = 32
const pattern = /^prt1\.[A-Za-z0-9_-]{70}$/

export function makeRefreshToken(key: Buffer, claim: RefreshClaim): string {
  const bytes = Buffer.alloc(claimBytes)
  bytes.set(parseId(claim.session))
  bytes.writeUInt32BE(claim.number, 16)
  return prefix + Buffer.concat([bytes, macOf(key, bytes)]).toString('base64url')
}

/** Undefined when the server never gave this token out. */
export function readRefreshToken(key: Buffer, token: string): RefreshClaim | undefined {
  if (!pattern.test(token)) return undefined
  const bytes = Buffer.from(token.slice(prefix.length), 'base64url')
  if (bytes.length !== claimBytes + macBytes) return undefined
  const claim = bytes.subarray(0, claimBytes)
  if (!timingSafeEqual(bytes.subarray(claimBytes), macOf(key, claim))) return undefined
  return { session: formatId(claim.subarray(0, 16)), number: claim.readUInt32BE(16) }
}

function macOf(key: Buffer, claim: Uint8Array): Buffer {
  return createHmac('sha256', key).update(claim).digest()
}

/** How long the token just used gives its successor again, for a client that never got the answer. */
export const repeatMs = 30_000

export type RefreshDecision =
  /** The latest token: the next one is given out. */
  | 'rotate'
  /** The one before, its successor still unused and young: the same successor again. */
  | 'repeat'
  /** A token that was used before: two hold it, so the whole session ends. */
  | 'reused'
  /** No live session, or a number not given out yet (a database restored from before it). */
  | 'refuse'

export interface RefreshState {
  live: boolean
  /** The number of the latest token, which nobody has used yet. */
  number: number
  /** Milliseconds since the latest token was first given out. */
  ageMs: number
}

export function decideRefresh(state: RefreshState, presented: number): RefreshDecision {
  if (!state.live || presented > state.number) return 'refuse'
  if (presented === state.number) return 'rotate'
  return presented === state.number - 1 && state.ageMs < repeatMs ? 'repeat' : 'reused'
}
