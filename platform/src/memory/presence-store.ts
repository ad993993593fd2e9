import {
  type Lease,
  type PresenceStore,
  PresenceStoreFull,
  type UserLeases,
} from '@parley/platform/ports/presence-store'
import { partitionOf } from '@parley/proto/partition'

export interface MemoryPresenceStoreOptions {
  /** The number of partitions of the sessions log. */
  shards: number
  /** Milliseconds since 1970. Unless told leases go by a clock that nobody can set, and `lastSeen` by the system's. */
  now?: () => number
  /** Users with leases and users remembered for their `lastSeen`, together: 200,000 unless told. */
  maxUsers?: number
  /** 400,000 unless told; as many that have ended are remembered. */
  maxLeases?: number
  /** How long `lastSeen` outlives the last lease: 30 days unless told. */
  lastSeenMs?: number
}

/** Leases within one process. Expiry needs no timer: every call first ends what has run out. */
export function createMemoryPresenceStore(options: MemoryPresenceStoreOptions): PresenceStore {
  const { shards, now } = options
  const leases = new Leases({
    wallClock: now ?? Date.now,
    clock: now ?? (() => performance.now()),
    shards,
    maxUsers: options.maxUsers ?? 200_000,
    maxLeases: options.maxLeases ?? 400_000,
    lastSeenMs: options.lastSeenMs ?? 30 * 86_400_000,
  })
  let closed = false

  function begin(): void {
    if (closed) throw new Error('the presence store is closed')
    leases.expire()
  }

  return {
    shards,
    async hold(wanted, ttlMs) {
      if (!(ttlMs > 0)) throw new RangeError(`a lease of ${ttlMs} ms`)
      begin()
      const refused = wanted.filter((lease) => !leases.hold(lease, ttlMs)).length
      if (refused > 0) throw new PresenceStoreFull(refused)
    },
    async release(released) {
      begin()
      for (const lease of released) leases.release(lease)
    },
    async read(users) {
      begin()
      return users.map((user) => leases.of(user))
    },
    async changed(shard, limit) {
      begin()
      const users = leases.changed[shard]
      if (users === undefined) throw new RangeError(`shard ${shard} of ${shards}`)
      const taken: string[] = []
      for (const user of users) {
        if (taken.length >= limit) break
        users.delete(user)
        taken.push(user)
      }
      return taken
    },
    async close() {
      closed = true
      leases.clear()
    },
  }
}

interface Held {
  readonly user: Present
  readonly connection: string
  activeAt: number
  at: number
  /** By the store's clock. */
  endsAt: number
}

/** A user with leases, at least one. */
interface Present {
  readonly id: string
  readonly leases: Map<string, Held>
  lastSeen: number | undefined
}

interface LeasesOptions extends Required<Omit<MemoryPresenceStoreOptions, 'now'>> {
  /** Milliseconds since 1970. */
  wallClock(): number
  /** Milliseconds since anything. */
  clock(): number
}

/** How long what has ended is remembered ([PS2]). */
const endedMs = 60_000
/** Leases that end within one step are ended together; `of` and `hold` go by the exact moment all the same. */
const stepMs = 100

class Leases {
  /** By shard: users that nobody has been told of. All of them are known, so it has no more than those. */
  readonly changed: readonly Set<string>[]
  readonly #options: LeasesOptions
  readonly #present = new Map<string, Present>()
  /** Users without leases; who has been gone longest comes first. */
  readonly #gone = new Map<string, { lastSeen: number; forgetAt: number }>()
  /** By connection, oldest first: the `at` of what has ended, so that nothing older brings it back ([PS2]). */
  readonly #ended = new Map<string, { at: number; forgetAt: number }>()
  readonly #ending = new Map<number, Set<Held>>()
  #count = 0
  #expiredStep = Number.NEGATIVE_INFINITY

  constructor(options: LeasesOptions) {
    this.#options = options
    this.changed = Array.from({ length: options.shards }, () => new Set<string>())
  }

  /** Ends what has run out, to the step, and forgets what need not be remembered. */
  expire(): void {
    const nowMs = this.#options.clock()
    const nowStep = Math.floor(nowMs / stepMs)
    if (nowStep === this.#expiredStep) return
    this.#expiredStep = nowStep
    for (const [step, together] of this.#ending) {
      if (step > nowStep) continue
      for (const held of together) this.#runOut(held, nowMs)
    }
    for (const [connection, { forgetAt }] of this.#ended) {
      if (forgetAt > nowMs) break
      this.#ended.delete(connection)
    }
    for (const [user, { forgetAt }] of this.#gone) {
      if (forgetAt > nowMs) break
      this.#forget(user)
    }
  }

  /** False when there is no room for it. */
  hold({ user, connection, activeAt, at }: Lease, ttlMs: number): boolean {
    const nowMs = this.#options.clock()
    const present = this.#presentAt(user, nowMs)
    const held = present?.leases.get(connection)
    if (held === undefined ? at <= this.#endedAt(connection) : at < held.at) return true
    const before = greatestActiveAt(present)
    const endsAt = nowMs + ttlMs
    if (held !== undefined) {
      this.#unschedule(held)
      Object.assign(held, { activeAt, at, endsAt })
      this.#schedule(held)
      if (greatestActiveAt(present) !== before) this.#mark(user)
      return true
    }
    if (this.#count >= this.#options.maxLeases) return false
    const holder = present ?? this.#arrive(user)
    if (holder === undefined) return false
    const begun: Held = { user: holder, connection, activeAt, at, endsAt }
    holder.leases.set(connection, begun)
    this.#count += 1
    this.#schedule(begun)
    if (greatestActiveAt(holder) !== before) this.#mark(user)
    return true
  }

  release({ user, connection, at }: Pick<Lease, 'user' | 'connection' | 'at'>): void {
    const present = this.#presentAt(user, this.#options.clock())
    const held = present?.leases.get(connection)
    if (held !== undefined) {
      if (at >= held.at) this.#end(held, at, at)
      return
    }
    if (at <= this.#endedAt(connection)) return
    this.#remember(connection, at)
    const gone = this.#gone.get(user)
    if (at <= ((present ?? gone)?.lastSeen ?? Number.NEGATIVE_INFINITY)) return
    if (present !== undefined) present.lastSeen = at
    else if (gone !== undefined || this.#makeRoom()) this.#leave(user, at)
    else return
    this.#mark(user)
  }

  of(user: string): UserLeases {
    const present = this.#presentAt(user, this.#options.clock())
    const activeAt = greatestActiveAt(present)
    const { lastSeen } = present ?? this.#gone.get(user) ?? {}
    return {
      ...(activeAt === undefined ? {} : { activeAt }),
      ...(lastSeen === undefined ? {} : { lastSeen }),
    }
  }

  clear(): void {
    for (const map of [this.#present, this.#gone, this.#ended, this.#ending]) map.clear()
    for (const users of this.changed) users.clear()
  }

  /** The user as it is at this very moment; undefined when it has no lease. */
  #presentAt(user: string, nowMs: number): Present | undefined {
    for (const held of this.#present.get(user)?.leases.values() ?? []) {
      if (held.endsAt <= nowMs) this.#runOut(held, nowMs)
    }
    return this.#present.get(user)
  }

  #runOut(held: Held, nowMs: number): void {
    this.#end(held, held.at, Math.round(this.#options.wallClock() - (nowMs - held.endsAt)))
  }

  #end(held: Held, at: number, seenAt: number): void {
    const { user, connection } = held
    this.#unschedule(held)
    user.leases.delete(connection)
    this.#count -= 1
    this.#remember(connection, at)
    user.lastSeen = Math.max(user.lastSeen ?? seenAt, seenAt)
    if (user.leases.size === 0) {
      this.#present.delete(user.id)
      this.#leave(user.id, user.lastSeen)
    }
    this.#mark(user.id)
  }

  #arrive(user: string): Present | undefined {
    const gone = this.#gone.get(user)
    this.#gone.delete(user)
    if (!this.#makeRoom()) return undefined
    const present: Present = { id: user, leases: new Map(), lastSeen: gone?.lastSeen }
    this.#present.set(user, present)
    return present
  }

  /** Room for one more user, at the cost of who has been gone longest; false when all have leases. */
  #makeRoom(): boolean {
    if (this.#present.size + this.#gone.size < this.#options.maxUsers) return true
    const [longest] = this.#gone.keys()
    if (longest === undefined) return false
    this.#forget(longest)
    return true
  }

  #leave(user: string, lastSeen: number): void {
    this.#gone.delete(user)
    this.#gone.set(user, {
      lastSeen,
      forgetAt: this.#options.clock() + this.#options.lastSeenMs,
    })
  }

  #forget(user: string): void {
    this.#gone.delete(user)
    this.#changedOf(user).delete(user)
  }

  #mark(user: string): void {
    this.#changedOf(user).add(user)
  }

  #changedOf(user: string): Set<string> {
    return this.changed[partitionOf(user, this.#options.shards)] as Set<string>
  }

  #endedAt(connection: string): number {
    return this.#ended.get(connection)?.at ?? Number.NEGATIVE_INFINITY
  }

  #remember(connection: string, at: number): void {
    this.#ended.delete(connection)
    this.#ended.set(connection, { at, forgetAt: this.#options.clock() + endedMs })
    if (this.#ended.size <= this.#options.maxLeases) return
    const [oldest] = this.#ended.keys()
    this.#ended.delete(oldest as string)
  }

  #schedule(held: Held): void {
    const step = Math.ceil(held.endsAt / stepMs)
    const together = this.#ending.get(step)
    if (together === undefined) this.#ending.set(step, new Set([held]))
    else together.add(held)
  }

  #unschedule(held: Held): void {
    const step = Math.ceil(held.endsAt / stepMs)
    const together = this.#ending.get(step)
    together?.delete(held)
    if (together?.size === 0) this.#ending.delete(step)
  }
}

function greatestActiveAt(present: Present | undefined): number | undefined {
  let greatest: number | undefined
  for (const { activeAt } of present?.leases.values() ?? []) {
    if (greatest === undefined || activeAt > greatest) greatest = activeAt
  }
  return greatest
}
