import type { PresenceStore, UserLeases } from '@parley/platform/ports/presence-store'

/** A way in which an adapter could break the port, put between the suite and a whole adapter. */
export interface PresenceStoreFault {
  name: string
  /** The rule whose checks must notice. */
  rule: string
  wrap(store: PresenceStore): PresenceStore
}

export const presenceStoreFaults: readonly PresenceStoreFault[] = [
  {
    name: 'a lease that never ends',
    rule: 'PS1',
    wrap: (store) => ({ ...store, hold: (leases) => store.hold(leases, 10_000_000) }),
  },
  {
    name: 'a lease that ends too early',
    rule: 'PS1',
    wrap: (store) => ({ ...store, hold: (leases, ttlMs) => store.hold(leases, ttlMs / 2) }),
  },
  {
    name: 'a lease that is as long as its first hold said',
    rule: 'PS1',
    wrap(store) {
      const known = new Set<string>()
      return {
        ...store,
        async hold(leases, ttlMs) {
          await store.hold(
            leases.filter(({ connection }) => !known.has(connection)),
            ttlMs,
          )
          for (const { connection } of leases) known.add(connection)
        },
      }
    },
  },
  {
    name: 'one lease a user, whatever its connections',
    rule: 'PS1',
    wrap: (store) => ({
      ...store,
      hold: (leases, ttlMs) =>
        store.hold(
          leases.map((lease) => ({ ...lease, connection: lease.user })),
          ttlMs,
        ),
      release: (leases) => store.release(leases.map((l) => ({ ...l, connection: l.user }))),
    }),
  },
  {
    name: 'an older hold applied, and an older release: the order of the calls counts',
    rule: 'PS2',
    wrap: withOwnOrder,
  },
  {
    name: 'an older release applied',
    rule: 'PS2',
    wrap(store) {
      const greatest = new Map<string, number>()
      return {
        ...store,
        async hold(leases, ttlMs) {
          for (const { connection, at } of leases) {
            greatest.set(connection, Math.max(at, greatest.get(connection) ?? 0))
          }
          await store.hold(leases, ttlMs)
        },
        release: (leases) =>
          store.release(
            leases.map((l) => ({ ...l, at: Math.max(l.at, greatest.get(l.connection) ?? 0) })),
          ),
      }
    },
  },
  {
    name: 'what ended is forgotten at once',
    rule: 'PS2',
    wrap(store) {
      const lives = new Map<string, { life: number; user: string }>()
      const named = <L extends { connection: string }>(lease: L): L => {
        const { life } = lives.get(lease.connection) ?? { life: 0 }
        return { ...lease, connection: `${life}${lease.connection.slice(1)}` }
      }
      return {
        ...store,
        hold: (leases, ttlMs) => store.hold(leases.map(named), ttlMs),
        async release(leases) {
          await store.release(leases.map(named))
          for (const { connection, user } of leases) {
            lives.set(connection, { life: (lives.get(connection)?.life ?? 0) + 1, user })
          }
        },
      }
    },
  },
  {
    name: 'an older hold makes a lease last longer',
    rule: 'PS2',
    wrap(store) {
      const known = new Map<string, { at: number; activeAt: number }>()
      return {
        ...store,
        hold: (leases, ttlMs) =>
          store.hold(
            leases.map((lease) => {
              const newest = known.get(lease.connection) ?? lease
              const kept = newest.at > lease.at ? newest : lease
              known.set(lease.connection, kept)
              return { ...lease, at: kept.at, activeAt: kept.activeAt }
            }),
            ttlMs,
          ),
      }
    },
  },
  {
    name: 'calls that resolve before they take effect',
    rule: 'PS3',
    wrap(store) {
      const later = (call: () => Promise<void>): Promise<void> => {
        setTimeout(() => call().catch(() => {}), 5)
        return Promise.resolve()
      }
      return {
        ...store,
        hold: (leases, ttlMs) => later(() => store.hold(leases, ttlMs)),
        release: (leases) => later(() => store.release(leases)),
      }
    },
  },
  {
    name: 'a read in an order of its own',
    rule: 'PS3',
    wrap: (store) => ({ ...store, read: (users) => store.read([...users].sort()) }),
  },
  {
    name: 'a lost expiry: only calls give users out',
    rule: 'PS4',
    wrap(store) {
      const called = new Set<string>()
      const noting = <L extends { user: string }>(leases: readonly L[]): readonly L[] => {
        for (const { user } of leases) called.add(user)
        return leases
      }
      return {
        ...store,
        hold: (leases, ttlMs) => store.hold(noting(leases), ttlMs),
        release: (leases) => store.release(noting(leases)),
        changed: async (shard, limit) =>
          (await store.changed(shard, limit)).filter((user) => called.delete(user)),
      }
    },
  },
  {
    name: 'a late expiry: users are given out two seconds after it',
    rule: 'PS4',
    wrap(store) {
      const held: { user: string; untilMs: number }[] = []
      return {
        ...store,
        async changed(shard, limit) {
          const nowMs = performance.now()
          const taken = await store.changed(shard, limit)
          const leases = await store.read(taken)
          // What the checks release has an `at` of small numbers.
          const expired = taken.filter((_, i) => (leases[i]?.lastSeen ?? 0) > 1_000_000)
          held.push(...expired.map((user) => ({ user, untilMs: nowMs + 2_000 })))
          const due = held.filter(({ untilMs }) => untilMs <= nowMs).map(({ user }) => user)
          held.splice(0, due.length)
          return [...taken.filter((user) => !expired.includes(user)), ...due]
        },
      }
    },
  },
  {
    name: 'a lost change: every seventh user is never given out',
    rule: 'PS4',
    wrap(store) {
      let count = 0
      return {
        ...store,
        changed: async (shard, limit) =>
          (await store.changed(shard, limit)).filter(() => ++count % 7 > 0),
      }
    },
  },
  {
    name: 'a change given out twice',
    rule: 'PS4',
    wrap(store) {
      const again: string[] = []
      return {
        ...store,
        async changed(shard, limit) {
          const taken = await store.changed(shard, limit - again.length)
          const given = [...again.splice(0), ...taken]
          again.push(...taken.slice(0, 1))
          return given
        },
      }
    },
  },
  {
    name: 'whoever is held again is given out',
    rule: 'PS4',
    wrap(store) {
      const renewed = new Set<string>()
      return {
        ...store,
        async hold(leases, ttlMs) {
          await store.hold(leases, ttlMs)
          for (const { user } of leases) renewed.add(user)
        },
        async changed(shard, limit) {
          for (const user of await store.changed(shard, limit)) renewed.add(user)
          const given = [...renewed].slice(0, limit)
          for (const user of given) renewed.delete(user)
          return given
        },
      }
    },
  },
  {
    name: 'no limit',
    rule: 'PS4',
    wrap: (store) => ({ ...store, changed: (shard) => store.changed(shard, 1_000) }),
  },
  {
    name: 'one shard for all',
    rule: 'PS4',
    wrap: (store) => ({
      ...store,
      async changed(shard, limit) {
        if (shard >= store.shards) throw new RangeError(`shard ${shard}`)
        const all: string[] = []
        for (let of = 0; of < store.shards && all.length < limit; of++) {
          all.push(...(await store.changed(of, limit - all.length)))
        }
        return all
      },
    }),
  },
  {
    name: 'lastSeen is that of the last release called',
    rule: 'PS5',
    wrap(store) {
      const released = new Map<string, number>()
      return {
        ...store,
        async release(leases) {
          await store.release(leases)
          for (const { user, at } of leases) released.set(user, at)
        },
        read: (users) =>
          reading(store, users, (leases, user) => {
            const lastSeen = released.get(user)
            return lastSeen === undefined ? leases : { ...leases, lastSeen }
          }),
      }
    },
  },
  {
    name: 'lastSeen is gone while a device is there',
    rule: 'PS5',
    wrap: (store) => ({
      ...store,
      read: (users) =>
        reading(store, users, ({ activeAt, lastSeen }) => {
          if (activeAt !== undefined) return { activeAt }
          return lastSeen === undefined ? {} : { lastSeen }
        }),
    }),
  },
  {
    name: 'lastSeen of an expired lease is when it was held',
    rule: 'PS5',
    wrap(store) {
      const heldAt = new Map<string, number>()
      return {
        ...store,
        async hold(leases, ttlMs) {
          await store.hold(leases, ttlMs)
          for (const { user, at } of leases) heldAt.set(user, at)
        },
        read: (users) =>
          reading(store, users, (leases, user) => {
            const lastSeen = leases.lastSeen === undefined ? undefined : heldAt.get(user)
            return lastSeen === undefined ? leases : { ...leases, lastSeen }
          }),
      }
    },
  },
  {
    name: 'a closed store that resolves',
    rule: 'PS6',
    wrap: (store) => ({ ...store, release: (leases) => store.release(leases).catch(() => {}) }),
  },
]

async function reading(
  store: PresenceStore,
  users: readonly string[],
  change: (leases: UserLeases, user: string) => UserLeases,
): Promise<UserLeases[]> {
  const read = await store.read(users)
  return read.map((leases, i) => change(leases, users[i] as string))
}

/** Calls numbered by when they came, instead of by their `at`. */
function withOwnOrder(store: PresenceStore): PresenceStore {
  let calls = 1_000_000
  const numbered = <L extends { at: number }>(leases: readonly L[]): L[] =>
    leases.map((lease) => ({ ...lease, at: ++calls }))
  return {
    ...store,
    hold: (leases, ttlMs) => store.hold(numbered(leases), ttlMs),
    release: (leases) => store.release(numbered(leases)),
  }
}
