import { PresenceStoreFull } from '@parley/platform/ports/presence-store'
import { newId } from '@parley/proto/ids'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createMemoryPresenceStore, type MemoryPresenceStoreOptions } from './presence-store.ts'

function open(options: Partial<MemoryPresenceStoreOptions> = {}) {
  const clock = { nowMs: 1_000_000 }
  const store = createMemoryPresenceStore({ shards: 1, now: () => clock.nowMs, ...options })
  return { clock, store }
}

const ids = Array.from({ length: 8 }, () => newId())
const id = (n: number) => ids[n] as string
const lease = (n: number, at: number, user = n) => ({
  user: id(user),
  connection: `connection-${n}`,
  activeAt: at,
  at,
})

it('[G8] beyond its bound of leases hold rejects, takes what fits, and renews all the same', async () => {
  const { store } = open({ maxLeases: 2 })
  const refused = store.hold([lease(0, 1), lease(1, 1), lease(2, 1)], 1_000)
  await expect(refused).rejects.toThrow(PresenceStoreFull)
  await expect(refused).rejects.toMatchObject({ refused: 1 })
  expect(await store.read([id(0), id(1), id(2)])).toEqual([{ activeAt: 1 }, { activeAt: 1 }, {}])
  await expect(store.hold([lease(2, 2), lease(0, 2)], 1_000)).rejects.toThrow(PresenceStoreFull)
  expect(await store.read([id(0)])).toEqual([{ activeAt: 2 }])
  await store.release([lease(1, 2)])
  await store.hold([lease(2, 3)], 1_000)
  expect(await store.read([id(2)])).toEqual([{ activeAt: 3 }])
})

it('[G8] beyond its bound of users who has been gone longest is forgotten, and then hold rejects', async () => {
  const { store } = open({ maxUsers: 2 })
  await store.hold([lease(0, 1), lease(1, 1)], 1_000)
  await store.release([lease(1, 2)])
  await store.release([lease(0, 3)])
  await store.hold([lease(2, 4)], 1_000)
  expect(await store.read([id(0), id(1)])).toEqual([{ lastSeen: 3 }, {}])
  await store.hold([lease(0, 5)], 1_000)
  await expect(store.hold([lease(3, 6)], 1_000)).rejects.toThrow(PresenceStoreFull)
  await store.release([lease(4, 6)])
  expect(await store.read([id(0), id(2), id(3), id(4)])).toEqual([
    { activeAt: 5, lastSeen: 3 },
    { activeAt: 4 },
    {},
    {},
  ])
})

it('[G8] releases of ever new users leave no more behind than the bounds allow', async () => {
  const { store } = open({ maxUsers: 3, maxLeases: 3 })
  const users = Array.from({ length: 50 }, () => newId())
  for (const user of users) await store.release([{ user, connection: user, at: 1 }])
  expect((await store.changed(0, 100)).sort()).toEqual(users.slice(-3).sort())
  const remembered = await store.read(users)
  expect(remembered.filter(({ lastSeen }) => lastSeen !== undefined)).toHaveLength(3)
})

it('[PS5] lastSeen is forgotten when its time is over', async () => {
  const { store, clock } = open({ lastSeenMs: 5_000 })
  await store.hold([lease(0, 1)], 1_000)
  clock.nowMs += 1_000
  expect(await store.read([id(0)])).toEqual([{ lastSeen: 1_001_000 }])
  clock.nowMs += 4_999
  expect(await store.read([id(0)])).toEqual([{ lastSeen: 1_001_000 }])
  clock.nowMs += 101
  expect(await store.read([id(0)])).toEqual([{}])
})

it('[PS2] what has ended is remembered for a minute', async () => {
  const { store, clock } = open()
  await store.hold([lease(0, 10)], 1_000)
  await store.release([lease(0, 11)])
  clock.nowMs += 60_000 - 1
  await store.hold([lease(0, 10)], 1_000)
  expect(await store.read([id(0)])).toEqual([{ lastSeen: 11 }])
})

it('[PS1] a lease ends at its very moment, whoever asks first', async () => {
  const { store, clock } = open()
  await store.hold([lease(0, 1), lease(1, 1)], 1_234)
  clock.nowMs += 1_233
  expect(await store.read([id(0)])).toEqual([{ activeAt: 1 }])
  clock.nowMs += 1
  expect(await store.read([id(0)])).toEqual([{ lastSeen: 1_001_234 }])
  await store.hold([lease(1, 1)], 1_000)
  expect(await store.read([id(1)])).toEqual([{ lastSeen: 1_001_234 }])
})

/** The port in a few lines: all that was ever said, kept for ever, and looked through at each question. */
function createReference(nowMs: () => number) {
  const known = new Map<string, { user: string; at: number; activeAt: number; endsAt: number }>()
  const lastSeen = new Map<string, number>()
  const seen = (user: string, at: number) =>
    lastSeen.set(user, Math.max(at, lastSeen.get(user) ?? 0))
  const runOut = () => {
    for (const one of known.values()) {
      if (one.endsAt > nowMs()) continue
      if (one.endsAt > 0) seen(one.user, one.endsAt)
      one.endsAt = 0
    }
  }
  return {
    hold({ user, connection, activeAt, at }: ReturnType<typeof lease>, ttlMs: number) {
      runOut()
      const one = known.get(connection)
      if (one !== undefined && (one.endsAt > 0 ? at < one.at : at <= one.at)) return
      known.set(connection, { user, at, activeAt, endsAt: nowMs() + ttlMs })
    },
    release({ user, connection, at }: ReturnType<typeof lease>) {
      runOut()
      const one = known.get(connection)
      if (one !== undefined && (one.endsAt > 0 ? at < one.at : at <= one.at)) return
      known.set(connection, { user, at, activeAt: 0, endsAt: 0 })
      seen(user, at)
    },
    read(user: string) {
      runOut()
      const live = [...known.values()].filter((one) => one.user === user && one.endsAt > 0)
      const at = lastSeen.get(user)
      return {
        ...(live.length === 0 ? {} : { activeAt: Math.max(...live.map((one) => one.activeAt)) }),
        ...(at === undefined ? {} : { lastSeen: at }),
      }
    },
  }
}

const step = fc.oneof(
  fc.record({
    type: fc.constantFrom('hold' as const, 'release' as const),
    connection: fc.nat({ max: 4 }),
    at: fc.nat({ max: 30 }),
    ttlMs: fc.integer({ min: 1, max: 400 }),
  }),
  fc.record({ type: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 500 }) }),
  fc.record({ type: fc.constant('take' as const), limit: fc.integer({ min: 1, max: 3 }) }),
)

it('[PS1] [PS2] [PS4] [PS5] whatever is called when, read answers as the rules say and changed tells of every change', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const { store, clock } = open()
      const reference = createReference(() => clock.nowMs)
      const users = [id(0), id(1)]
      /** What was answered when the user was last given out. */
      const told = new Map(users.map((user) => [user, '{}']))
      for (const one of steps) {
        if (one.type === 'wait') clock.nowMs += one.ms
        if (one.type === 'hold' || one.type === 'release') {
          const said = lease(one.connection, one.at, one.connection % 2)
          reference[one.type](said, one.ttlMs)
          await (one.type === 'hold' ? store.hold([said], one.ttlMs) : store.release([said]))
        }
        if (one.type === 'take') {
          for (const user of await store.changed(0, one.limit)) {
            told.set(user, JSON.stringify(reference.read(user)))
          }
        }
        const answers = users.map((user) => reference.read(user))
        expect(await store.read(users)).toEqual(answers)
      }
      clock.nowMs += 1_000
      for (const user of await store.changed(0, 10)) {
        told.set(user, JSON.stringify(reference.read(user)))
      }
      expect([...told.values()]).toEqual(users.map((u) => JSON.stringify(reference.read(u))))
      expect(await store.changed(0, 10)).toEqual([])
    }),
    { numRuns: 500 },
  )
})
