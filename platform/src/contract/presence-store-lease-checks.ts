import assert from 'node:assert/strict'
import type { PresenceStoreCheck } from './presence-store-harness.ts'
import {
  endsInTime,
  longMs,
  opened,
  readOne,
  someone,
  timed,
  until,
} from './presence-store-probe.ts'

/** [PS1], [PS2], [PS3] and [PS5]: what `read` answers. */
export const leaseChecks: readonly PresenceStoreCheck[] = [
  {
    name: '[PS1] a lease counts for its time and then not any more',
    async run(harness) {
      const { one, other } = await opened(harness)
      for (const ttlMs of [60, 350]) {
        const { user, lease } = someone()
        const held = await timed(() => one.hold([lease(1)], ttlMs))
        await endsInTime(harness, other, { user, ttlMs, held })
      }
    },
  },
  {
    name: '[PS1] holding it again begins anew, longer or shorter',
    async run(harness) {
      const { one } = await opened(harness)
      const [longer, shorter] = [someone(), someone()]
      const first = await timed(() => one.hold([longer.lease(1)], 300))
      await one.hold([shorter.lease(1)], longMs)
      await until(harness, 'the time to hold it again', async () =>
        performance.now() > first.endedMs + 150 ? true : undefined,
      )
      const held = await timed(() => one.hold([longer.lease(2), shorter.lease(2)], 300))
      await Promise.all(
        [longer, shorter].map(({ user }) => endsInTime(harness, one, { user, ttlMs: 300, held })),
      )
    },
  },
  {
    name: '[PS1] each connection has its own lease, and the greatest activeAt of those that count is told',
    async run(harness) {
      const { one } = await opened(harness)
      const { user, lease } = someone()
      const second = { ...someone().lease(1, 50), user }
      await one.hold([lease(1, 20)], longMs)
      const held = await timed(() => one.hold([second], 200))
      assert.equal((await readOne(one, user)).activeAt, 50)
      await until(harness, 'one of two leases ends', async () => {
        const { activeAt } = await readOne(one, user)
        assert.ok(activeAt === 20 || activeAt === 50, `activeAt is ${activeAt}`)
        return activeAt === 20 ? true : undefined
      })
      assert.ok(performance.now() > held.beganMs + 200 - harness.clockSlackMs)
      await one.release([lease(2)])
      assert.equal((await readOne(one, user)).activeAt, undefined)
    },
  },
  {
    name: '[PS2] an older hold changes nothing: neither what is known, nor how long, nor what has been released',
    async run(harness) {
      const { one, other } = await opened(harness)
      const [live, released] = [someone(), someone()]
      const held = await timed(() => one.hold([live.lease(10, 7)], 250))
      await other.hold([live.lease(9, 8)], longMs)
      assert.equal((await readOne(one, live.user)).activeAt, 7)
      await endsInTime(harness, one, { user: live.user, ttlMs: 250, held })

      await one.hold([released.lease(10)], longMs)
      await one.release([released.lease(11)])
      await other.hold([released.lease(10)], longMs)
      assert.equal((await readOne(one, released.user)).activeAt, undefined)
      await one.hold([released.lease(12)], longMs)
      assert.equal((await readOne(one, released.user)).activeAt, 12)
    },
  },
  {
    name: '[PS2] an older release changes nothing',
    async run(harness) {
      const { one, other } = await opened(harness)
      const { user, lease } = someone()
      await one.hold([lease(10)], longMs)
      await other.release([lease(9)])
      assert.deepEqual(await readOne(one, user), { activeAt: 10 })
      await other.release([lease(11)])
      await other.release([lease(5)])
      assert.deepEqual(await readOne(one, user), { lastSeen: 11 })
    },
  },
  {
    name: '[PS2] a release that comes before its hold keeps it away',
    async run(harness) {
      const { one, other } = await opened(harness)
      const { user, lease } = someone()
      await one.release([lease(10)])
      await other.hold([lease(9)], longMs)
      assert.deepEqual(await readOne(one, user), { lastSeen: 10 })
    },
  },
  {
    name: '[PS2] of the same at a release ends, and no hold brings back what has ended, by release or by itself',
    async run(harness) {
      const { one } = await opened(harness)
      const [released, expired] = [someone(), someone()]
      await one.hold([released.lease(10)], longMs)
      await one.release([released.lease(10)])
      const held = await timed(() => one.hold([expired.lease(10)], 50))
      await endsInTime(harness, one, { user: expired.user, ttlMs: 50, held })
      for (const at of [9, 10]) await one.hold([released.lease(at), expired.lease(at)], longMs)
      for (const { user } of [released, expired]) {
        assert.equal((await readOne(one, user)).activeAt, undefined)
      }
      await one.hold([released.lease(11), expired.lease(11)], longMs)
      for (const { user } of [released, expired]) {
        assert.equal((await readOne(one, user)).activeAt, 11)
      }
    },
  },
  {
    name: '[PS2] within one call too the greatest at counts',
    async run(harness) {
      const { one } = await opened(harness)
      const { user, lease } = someone()
      await one.hold([lease(2, 200), lease(3, 300), lease(1, 900)], longMs)
      assert.deepEqual(await readOne(one, user), { activeAt: 300 })
    },
  },
  {
    name: '[PS3] read sees what resolved before it, from either end, in the order asked',
    async run(harness) {
      const { one, other } = await opened(harness)
      const people = Array.from({ length: 300 }, someone)
      const users = people.map(({ user }) => user)
      for (let round = 1; round <= 5; round++) {
        const [writer, reader] = round % 2 === 0 ? [one, other] : [other, one]
        await writer.hold(
          people.map(({ lease }, i) => lease(round * 10, round * 1_000 + i)),
          longMs,
        )
        const read = await reader.read(users)
        assert.deepEqual(
          read.map(({ activeAt }) => activeAt),
          users.map((_, i) => round * 1_000 + i),
        )
        await writer.release(people.slice(0, 100).map(({ lease }) => lease(round * 10 + 1)))
        const after = await reader.read([...users].reverse())
        assert.deepEqual(
          after.map(({ activeAt }) => activeAt !== undefined),
          [...users.keys()].map((i) => i < 200),
        )
      }
    },
  },
  {
    name: '[PS3] users that nobody knows, named twice, or none at all are answered too',
    async run(harness) {
      const { one } = await opened(harness)
      const [known, unknown] = [someone(), someone()]
      await one.hold([known.lease(1)], longMs)
      assert.deepEqual(await one.read([unknown.user, known.user, known.user]), [
        {},
        { activeAt: 1 },
        { activeAt: 1 },
      ])
      assert.deepEqual(await one.read([]), [])
    },
  },
  {
    name: '[PS5] lastSeen is the greatest at of the releases, and stands beside later leases',
    async run(harness) {
      const { one } = await opened(harness)
      const { user, lease } = someone()
      const second = { ...someone().lease(100), user }
      await one.hold([lease(100), second], longMs)
      assert.deepEqual(await readOne(one, user), { activeAt: 100 })
      await one.release([lease(500)])
      assert.deepEqual(await readOne(one, user), { activeAt: 100, lastSeen: 500 })
      await one.release([{ ...second, at: 300 }])
      assert.deepEqual(await readOne(one, user), { lastSeen: 500 })
      await one.hold([lease(600)], longMs)
      assert.deepEqual(await readOne(one, user), { activeAt: 600, lastSeen: 500 })
      await one.release([lease(601)])
      assert.deepEqual(await readOne(one, user), { lastSeen: 601 })
    },
  },
  {
    name: '[PS5] where a lease ran out lastSeen is that moment',
    async run(harness) {
      const { one } = await opened(harness)
      const { user, lease } = someone()
      const beganMs = Date.now()
      await one.hold([lease(beganMs)], 200)
      const endedMs = Date.now()
      const lastSeen = await until(harness, 'the lease ends', async () => {
        const leases = await readOne(one, user)
        assert.equal(leases.activeAt === undefined, leases.lastSeen !== undefined)
        return leases.lastSeen
      })
      const { clockSlackMs } = harness
      assert.ok(lastSeen >= beganMs + 200 - clockSlackMs, `${beganMs + 200 - lastSeen} ms early`)
      assert.ok(lastSeen <= endedMs + 200 + clockSlackMs, `${lastSeen - endedMs - 200} ms late`)
    },
  },
]
