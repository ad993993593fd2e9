/**
 * Which connections of which users are there: leases that expire by themselves. Disposable: flushed, everyone is
 * offline until gateways say otherwise.
 *
 * Guarantees, the same for every adapter (contract suite: `contract/presence-store.ts`):
 * - [PS1] A lease counts from `hold` for `ttlMs` by the store's own clock, then not any more; holding it again begins anew.
 * - [PS2] `hold` and `release` of one connection take effect in the order of their `at`; an older one changes nothing.
 * - [PS3] `read` sees every `hold` and `release` that resolved before it.
 * - [PS4] Every user whose leases changed or expired is given out by `changed` at least once, to one of the callers, soon
 *   (within a second of the expiry), and not again without a further change.
 * - [PS5] `lastSeen` is the greatest `at` of the releases, and the expiry's moment where a lease ran out; it outlives
 *   the leases for at least `lastSeenMs`.
 * - [PS6] Calls reject when the store is away; the next one tries anew.
 */
export interface PresenceStore {
  hold(leases: readonly Lease[], ttlMs: number): Promise<void>
  release(leases: readonly Pick<Lease, 'user' | 'connection' | 'at'>[]): Promise<void>
  /** In the order of `users`. */
  read(users: readonly string[]): Promise<UserLeases[]>
  /** Takes up to `limit` users whose leases changed; an empty list when there are none now. */
  changed(limit: number): Promise<string[]>
  close(): Promise<void>
}

export interface Lease {
  user: string
  connection: string
  /** When the connection last did anything: milliseconds since 1970. */
  activeAt: number
  /** When this was said: milliseconds since 1970. */
  at: number
}

export interface UserLeases {
  /** The greatest `activeAt` of the leases that count; absent when there is none. */
  activeAt?: number
  /** When the user's last lease ended: milliseconds since 1970; absent when none is known to have. */
  lastSeen?: number
}
