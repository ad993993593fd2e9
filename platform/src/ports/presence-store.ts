/**
 * Which connections of which users are there: leases that expire by themselves. Disposable: flushed, everyone is
 * offline until gateways say otherwise.
 *
 * Users are divided into `shards` by `partitionOf(user, shards)`, as the sessions log is. Whoever owns a partition of it
 * asks for the changes of that shard, so that what has been told of a user is known in one place.
 *
 * Guarantees, the same for every adapter (contract suite: `contract/presence-store.ts`, whose tests carry these ids):
 * - [PS1] A lease counts from `hold` for `ttlMs` by the store's own clock, then not any more; holding it again begins anew,
 *   with the new `ttlMs`, longer or shorter.
 * - [PS2] `hold` and `release` of one connection take effect in the order of their `at`; an older one changes nothing. Of
 *   the same `at` the later call counts, except that a lease which has ended is not held again. What has ended is
 *   remembered for at least a minute.
 * - [PS3] `read` sees every `hold` and `release` that resolved before it.
 * - [PS4] Every user of whom `read` answers otherwise than before, after a call or an expiry, is given out by `changed` of
 *   its shard at least once, to one of the callers, soon (within a second of the expiry), and not again without a further
 *   change.
 * - [PS5] `lastSeen` is the greatest `at` of the releases, and the expiry's moment where a lease ran out. It stands beside
 *   later leases, and outlives the last one for at least the adapter's `lastSeenMs`, as long as it has room.
 * - [PS6] Calls reject when the store is away or closed; the next one tries anew. What a rejected call was to change has
 *   changed or not. A full one rejects with `PresenceStoreFull`.
 */
export interface PresenceStore {
  readonly shards: number
  /** `ttlMs` is above 0. A connection belongs to one user. */
  hold(leases: readonly Lease[], ttlMs: number): Promise<void>
  release(leases: readonly Pick<Lease, 'user' | 'connection' | 'at'>[]): Promise<void>
  /** In the order of `users`. */
  read(users: readonly string[]): Promise<UserLeases[]>
  /** Takes up to `limit` users of a shard whose leases changed; an empty list when there are none now. */
  changed(shard: number, limit: number): Promise<string[]>
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
  /** When a lease of the user last ended: milliseconds since 1970; absent when none is known to have. */
  lastSeen?: number
}

/** `hold` took what fitted, renewals always; the rest had no room. Trying again at once helps nobody. */
export class PresenceStoreFull extends Error {
  override readonly name = 'PresenceStoreFull'
  readonly refused: number
  constructor(refused: number) {
    super(`the presence store is full: ${refused} leases had no room`)
    this.refused = refused
  }
}
