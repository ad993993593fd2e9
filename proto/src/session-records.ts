import type { PresenceState } from './frames.ts'
import { formatId, parseId } from './ids.ts'
import { pack, unpack } from './pack.ts'

/**
 * What stands in the `sessions` log: which sessions of which users a gateway has open. A record holds many notices of
 * one partition, `partitionOf(user)`. Presence is made of nothing else, and all of it may be lost: whatever is not
 * told again ends by its lease.
 */
export interface SessionNotice {
  user: string
  /** The connection's own id: a session may have several connections over time. */
  connection: string
  /**
   * `open` again and again while the connection lives, at most `presenceTimes.renewMs` apart; `closed` once after a
   * clean close. A connection of which nothing is heard for `presenceTimes.leaseMs` is gone.
   */
  state: 'open' | 'closed'
  /** When it last sent anything but `ping`: milliseconds since 1970. */
  activeAt: number
  /** When this was said, by the gateway's clock: what is older than what is known changes nothing. */
  at: number
}

export const presenceTimes = {
  renewMs: 15_000,
  leaseMs: 40_000,
  /** Without anything but pings for so long, a device is away. */
  awayMs: 5 * 60_000,
  /** Changes of one user are told at most so often. */
  changeMs: 1_000,
} as const

export function encodeSessionRecord(notices: readonly SessionNotice[]): Buffer {
  return pack(
    notices.map((n) => [
      parseId(n.user),
      parseId(n.connection),
      n.state === 'open',
      n.activeAt,
      n.at,
    ]),
  )
}

/** Throws when the bytes are no session record. */
export function decodeSessionRecord(value: Uint8Array): SessionNotice[] {
  const rows = unpack(value) as [Uint8Array, Uint8Array, boolean, number, number][]
  return rows.map(([user, connection, open, activeAt, at]) => ({
    user: formatId(user),
    connection: formatId(connection),
    state: open ? 'open' : 'closed',
    activeAt,
    at,
  }))
}

/** A user's presence, as told to those who may know it. */
export interface UserPresence {
  id: string
  state: PresenceState
  /** When its last device went: milliseconds since 1970; absent while one is there, or where it never was. */
  lastSeen?: number
}

/** What is published on `presence:<user>`. */
export function encodePresence({ state, lastSeen }: UserPresence): Buffer {
  return pack(lastSeen === undefined ? [state] : [state, lastSeen])
}

export function decodePresence(id: string, payload: Uint8Array): UserPresence {
  const [state, lastSeen] = unpack(payload) as [PresenceState, number?]
  return typeof lastSeen === 'number' ? { id, state, lastSeen } : { id, state }
}
