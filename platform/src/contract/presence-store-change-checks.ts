import assert from 'node:assert/strict'
import type { PresenceStore } from '@parley/platform/ports/presence-store'
import { partitionOf } from '@parley/proto/partition'
import type { PresenceStoreCheck } from './presence-store-harness.ts'
import { longMs, opened, readOne, someone, takeAll, until } from './presence-store-probe.ts'
import { assertSameList } from './same-list.ts'

/** [PS4] and [PS6]: who is given out, and what happens when the store is away. */
export const changeChecks: readonly PresenceStoreCheck[] = [
  {
    name: '[PS4] each change gives its user out once: a hold, another activeAt, a release',
    async run(harness) {
      const { one, other } = await opened(harness)
      const { user, lease } = someone()
      assertSameList(await takeAll(other), [])
      await one.hold([lease(1)], longMs)
      assertSameList(await takeAll(other), [user])
      assertSameList(await takeAll(one), [])
      await one.hold([lease(2, 20)], longMs)
      assertSameList(await takeAll(other), [user])
      await one.release([lease(3)])
      assertSameList(await takeAll(other), [user])
      assertSameList(await takeAll(other), [])
    },
  },
  {
    name: '[PS4] several changes before anyone asks give the user out once',
    async run(harness) {
      const { one } = await opened(harness)
      const people = [someone(), someone()] as const
      for (let at = 1; at <= 10; at++) {
        await one.hold(
          people.map(({ lease }) => lease(at)),
          longMs,
        )
      }
      await one.release([people[0].lease(11)])
      assertSameList((await takeAll(one)).sort(), people.map(({ user }) => user).sort())
      assertSameList(await takeAll(one), [])
    },
  },
  {
    name: '[PS4] what says nothing new gives nobody out: a lease held again, an older call, an unknown user read',
    async run(harness) {
      const { one } = await opened(harness)
      const [{ user, lease }, stranger] = [someone(), someone()]
      await one.hold([lease(5, 1)], longMs)
      assertSameList(await takeAll(one), [user])
      await one.hold([lease(6, 1)], longMs)
      await one.hold([lease(4, 9)], longMs)
      await one.release([lease(3)])
      await one.read([user, stranger.user])
      assertSameList(await takeAll(one), [])
    },
  },
  {
    name: '[PS4] an expiry gives its user out within a second of it, also where another lease goes on',
    async run(harness) {
      const { one, other } = await opened(harness)
      const [alone, both] = [someone(), someone()]
      await one.hold([{ ...someone().lease(1), user: both.user }], longMs)
      await one.hold([alone.lease(2), both.lease(2)], 200)
      const endsMs = performance.now() + 200
      assertSameList((await takeAll(one)).sort(), [alone.user, both.user].sort())
      const given: string[] = []
      await until(harness, 'both expired users are given out', async () => {
        const lateMs = performance.now() - endsMs
        given.push(...(await takeAll(other)))
        if (given.length >= 2) return true
        assert.ok(lateMs <= 1_000 + harness.clockSlackMs, `not yet ${lateMs} ms after the expiry`)
        return undefined
      })
      assertSameList(given.sort(), [alone.user, both.user].sort())
      assert.equal((await readOne(one, alone.user)).activeAt, undefined)
      assert.equal((await readOne(one, both.user)).activeAt, 1)
      assertSameList(await takeAll(one), [])
    },
  },
  {
    name: '[PS4] an expiry that a read saw first is given out all the same',
    async run(harness) {
      const { one } = await opened(harness)
      const { user, lease } = someone()
      await one.hold([lease(1)], 100)
      await takeAll(one)
      await until(harness, 'the lease ends', async () =>
        (await readOne(one, user)).activeAt === undefined ? true : undefined,
      )
      const given = await until(harness, 'the expired user is given out', async () => {
        const taken = await takeAll(one)
        return taken.length > 0 ? taken : undefined
      })
      assertSameList(given, [user])
    },
  },
  {
    name: '[PS4] callers at once share the changes: everyone once, no more than asked',
    async run(harness) {
      const { one, other } = await opened(harness)
      const people = Array.from({ length: 500 }, someone)
      await one.hold(
        people.map(({ lease }) => lease(1)),
        longMs,
      )
      const ends: PresenceStore[] = [one, other, one, other]
      const taken = await Promise.all(ends.map((end) => takeAll(end, 0, 7)))
      assertSameList(taken.flat().sort(), people.map(({ user }) => user).sort())
    },
  },
  {
    name: '[PS4] changes are given out by the shard of their user, and by no other',
    async run(harness) {
      const { one } = await harness.open({ shards: 3 })
      assert.equal(one.shards, 3)
      const people = Array.from({ length: 60 }, someone)
      await one.hold(
        people.map(({ lease }) => lease(1)),
        longMs,
      )
      for (const shard of [2, 0, 1]) {
        const own = people.map(({ user }) => user).filter((user) => partitionOf(user, 3) === shard)
        assertSameList((await takeAll(one, shard)).sort(), own.sort())
        assertSameList(await takeAll(one, shard), [])
      }
      await assert.rejects(one.changed(3, 1), RangeError)
    },
  },
  {
    name: '[PS6] after close every call rejects',
    async run(harness) {
      const { one, other } = await opened(harness)
      const { lease } = someone()
      await one.hold([lease(1)], longMs)
      await one.close()
      await other.close()
      await allReject(one)
    },
  },
  {
    name: '[PS6] while the store is away every call rejects, and afterwards the next one works',
    breaks: true,
    async run(harness) {
      const { link } = harness
      assert.ok(link !== undefined, 'the harness can not take the store away')
      const { one } = await opened(harness)
      const { user, lease } = someone()
      await one.hold([lease(1)], longMs)
      await link.cut()
      await allReject(one)
      await link.mend()
      await until(harness, 'the store works again', async () => {
        try {
          await one.hold([lease(10)], longMs)
          return true
        } catch {
          return undefined
        }
      })
      assert.equal((await readOne(one, user)).activeAt, 10)
      assert.ok((await takeAll(one)).includes(user))
      await one.release([lease(11)])
      assert.equal((await readOne(one, user)).lastSeen, 11)
    },
  },
]

async function allReject(store: PresenceStore): Promise<void> {
  const { user, lease } = someone()
  await assert.rejects(store.hold([lease(1)], longMs))
  await assert.rejects(store.release([lease(1)]))
  await assert.rejects(store.read([user]))
  await assert.rejects(store.changed(0, 1))
}
