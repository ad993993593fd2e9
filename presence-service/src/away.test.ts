import { createMemoryPresenceStore } from '@parley/platform/memory/presence-store'
import type { Bus } from '@parley/platform/ports/bus'
import type { Log, LogRecord } from '@parley/platform/ports/log'
import type { PresenceStore } from '@parley/platform/ports/presence-store'
import { createInProcessRpc } from '@parley/platform/rpc/in-process'
import { newId, parseId } from '@parley/proto/ids'
import { topics } from '@parley/proto/record-headers'
import { PresenceService as Rpc } from '@parley/proto/rpc/presence_pb'
import { encodeSessionRecord, presenceTimes } from '@parley/proto/session-records'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { appendTo, device, openWorld, type Told, userOf, type World } from './testing/world.ts'

/** What happens when a part is away, or the log holds what can't be read. */

const partitions = 2
const { leaseMs, changeMs } = presenceTimes

let world: World
beforeEach(async () => {
  world = await openWorld(partitions)
})
afterEach(() => world.close())

const states = (heard: Told[]) => heard.map(({ state }) => state)

function soon(look: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(look, { timeout: 10_000, interval: 5 })
}

const deviceOn = (partition: number) => device(world, userOf(partition, partitions))

type Fails = 'no' | 'rejects' | 'hangs'

/** Calls that fail as `how` says at that moment. */
function failing<A extends unknown[], R>(
  call: (...args: A) => Promise<R>,
  how: () => Fails,
): (...args: A) => Promise<R> {
  return (...args) => {
    if (how() === 'rejects') return Promise.reject(new Error('away'))
    return how() === 'hangs' ? new Promise(() => {}) : call(...args)
  }
}

function breakableStore(store: PresenceStore): { store: PresenceStore; fails: Fails } {
  const switched = { fails: 'no' as Fails, store }
  const how = () => switched.fails
  switched.store = {
    ...store,
    hold: failing(store.hold, how),
    release: failing(store.release, how),
    read: failing(store.read, how),
    changed: failing(store.changed, how),
  }
  return switched
}

function breakableBus(bus: Bus): { bus: Bus; fails: Fails } {
  const switched = { fails: 'no' as Fails, bus }
  switched.bus = { ...bus, publish: failing(bus.publish, () => switched.fails) }
  return switched
}

describe('presence-service while something is away', { timeout: 30_000 }, () => {
  it.each(['rejects', 'hangs'] as const)(
    'a store that %s is waited for, and presence is right afterwards',
    async (how) => {
      const broken = breakableStore(world.store)
      const service = await world.start({
        store: broken.store,
        settings: { callTimeoutMs: 30 },
      })
      const [stays, goes, comes] = [device(world), device(world), device(world)]
      const heard = await Promise.all([stays, goes, comes].map(({ user }) => world.hear(user)))
      await world.say(stays.open(), goes.open())
      await soon(() => expect(heard.map(states)).toEqual([['online'], ['online'], []]))
      broken.fails = how
      world.skip(changeMs)
      await world.say(goes.closed(), comes.open(), stays.open())
      await soon(async () => {
        expect(await world.metric('parley_presence_store_failures_total')).toBeGreaterThan(6)
      })
      expect(heard.map(states)).toEqual([['online'], ['online'], []])
      expect(service.problems()).toEqual([])
      broken.fails = 'no'
      await soon(() =>
        expect(heard.map(states)).toEqual([['online'], ['online', 'offline'], ['online']]),
      )
    },
  )

  it('[P2] users who were taken from the store and could not be read are told of afterwards', async () => {
    let reads = false
    const unreadable: PresenceStore = {
      ...world.store,
      read: failing(world.store.read, () => (reads ? 'no' : 'rejects')),
    }
    await world.start({ store: unreadable })
    const phone = device(world)
    const heard = await world.hear(phone.user)
    await world.say(phone.open())
    await soon(async () => {
      expect(await world.metric('parley_presence_store_failures_total')).toBeGreaterThan(1)
    })
    reads = true
    await soon(() => expect(states(heard)).toEqual(['online']))
  })

  it('[P2] users that the store gave out too late are told of all the same', async () => {
    let answer = () => {}
    const answering = new Promise<void>((resolve) => {
      answer = resolve
    })
    const late: PresenceStore = {
      ...world.store,
      async changed(shard, limit) {
        const users = await world.store.changed(shard, limit)
        if (users.length > 0) await answering
        return users
      },
    }
    await world.start({ store: late, settings: { callTimeoutMs: 30 } })
    const phone = device(world)
    const heard = await world.hear(phone.user)
    await world.say(phone.open())
    await soon(async () => {
      expect(await world.metric('parley_presence_store_failures_total')).toBeGreaterThan(0)
    })
    expect(heard).toEqual([])
    answer()
    await soon(() => expect(states(heard)).toEqual(['online']))
  })

  it('what a store missed for longer than a lease is left out, and the log goes on', async () => {
    const broken = breakableStore(world.store)
    await world.start({ store: broken.store })
    broken.fails = 'rejects'
    const user = userOf(0, partitions)
    const [ghost, phone] = [device(world, user), device(world, user)]
    const heard = await world.hear(user)
    await world.say(ghost.open())
    await soon(async () => {
      expect(await world.metric('parley_presence_store_failures_total')).toBeGreaterThan(3)
    })
    world.skip(leaseMs)
    await soon(async () => {
      expect(await world.metric('parley_presence_notices_dropped_total')).toBe(1)
    })
    broken.fails = 'no'
    await world.say(phone.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    world.skip(changeMs)
    await world.say(phone.closed())
    await soon(() => expect(states(heard)).toEqual(['online', 'offline']))
  })

  it.each(['rejects', 'hangs'] as const)(
    '[G10] a bus that %s holds nothing up, and afterwards the last change is told',
    async (how) => {
      const broken = breakableBus(world.bus)
      await world.start({ bus: broken.bus, settings: { callTimeoutMs: 30 } })
      const phone = device(world)
      const heard = await world.hear(phone.user)
      broken.fails = how
      await world.say(phone.open())
      await soon(async () => {
        expect(await world.metric('parley_presence_publish_failures_total')).toBeGreaterThan(0)
      })
      const closed = phone.closed()
      await world.say(closed)
      await soon(async () => {
        expect(await world.store.read([phone.user])).toEqual([{ lastSeen: closed.at }])
      })
      expect(heard).toEqual([])
      broken.fails = 'no'
      await soon(() =>
        expect(heard.at(-1)).toMatchObject({ state: 'offline', lastSeen: closed.at }),
      )
      expect(heard).toHaveLength(1)
    },
  )

  it('stopping does not wait for what is away', async () => {
    const [store, bus] = [breakableStore(world.store), breakableBus(world.bus)]
    const service = await world.start({
      ...{ store: store.store, bus: bus.bus },
      settings: { callTimeoutMs: 100 },
    })
    bus.fails = 'hangs'
    await world.say(device(world).open())
    store.fails = 'hangs'
    await world.say(device(world).open())
    const beganMs = performance.now()
    await service.stop()
    expect(performance.now() - beganMs).toBeLessThan(5_000)
  })

  it('[G8] a full store keeps those it has, and the rest is counted', async () => {
    const store = createMemoryPresenceStore({ shards: partitions, now: world.now, maxLeases: 1 })
    await world.start({ store })
    const [first, second] = [deviceOn(0), deviceOn(0)]
    const [heard, other] = [await world.hear(first.user), await world.hear(second.user)]
    await world.say(first.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    await world.say(second.open(), first.open())
    await soon(async () => {
      expect(await world.metric('parley_presence_notices_dropped_total')).toBe(1)
    })
    world.skip(changeMs)
    await world.say(first.closed())
    await soon(() => expect(states(heard)).toEqual(['online', 'offline']))
    await world.say(second.open())
    await soon(() => expect(states(other)).toEqual(['online']))
  })

  it('GetPresence says UNAVAILABLE while the store is away', async () => {
    const broken = breakableStore(world.store)
    const service = await world.start({ store: broken.store, settings: { callTimeoutMs: 30 } })
    const rpc = createInProcessRpc()
    rpc.serve('presence', service.routes)
    const ask = () => rpc.client(Rpc, 'presence').getPresence({ users: [parseId(newId())] })
    for (const how of ['rejects', 'hangs'] as const) {
      broken.fails = how
      await expect(ask()).rejects.toThrow('[unavailable] the presence store is away')
    }
    broken.fails = 'no'
    expect((await ask()).users).toMatchObject([{ state: 'offline' }])
  })
})

describe('presence-service on a log with', { timeout: 30_000 }, () => {
  /** The log as it is, but each record of partition 0 with these headers. */
  function withHeaders(log: Log, change: Partial<LogRecord['headers']>): Log {
    const changed = (records: LogRecord[]) =>
      records.map((record) => ({ ...record, headers: { ...record.headers, ...change } }))
    return {
      ...log,
      join: (group, topic, consumer) =>
        log.join(group, topic, {
          failed: (partition, error) => consumer.failed(partition, error),
          async assigned(assignment) {
            const { start, read, revoked } = await consumer.assigned(assignment)
            const mine = assignment.partition === 0
            return { start, revoked, read: (records) => read(mine ? changed(records) : records) }
          },
        }),
    }
  }

  it.each([
    ['another schema', { schema: '9' }, 'has schema 9, this release reads 1'],
    ['records of another log', { epoch: newId() }, 'is of the log'],
  ])('[R15] %s stops the partition, says so, and hurts no other', async (_, headers, message) => {
    const service = await world.start({ log: withHeaders(world.log, headers) })
    const [stopped, other] = [deviceOn(0), deviceOn(1)]
    const heard = await world.hear(other.user)
    await world.say(stopped.open())
    await soon(() => expect(service.problems()).toHaveLength(1))
    expect(service.problems()[0]).toMatch(
      /^presence-service: partition 0 stopped: parley\.sessions\/0: the record at 0 /,
    )
    expect(service.problems()[0]).toContain(message)
    await world.say(other.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    expect(await world.metric('parley_presence_stopped')).toBe(1)
  })

  it('[R15] garbage stops the partition at that record, and again after a restart', async () => {
    const phone = deviceOn(1)
    const heard = await world.hear(phone.user)
    const first = await world.start()
    await world.say(phone.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    await appendTo(world.log, 1, Buffer.from('garbage'))
    await appendTo(world.log, 1, encodeSessionRecord([phone.closed()]))
    await soon(() => expect(first.problems()).toHaveLength(1))
    await first.stop()
    expect(first.problems()).toEqual([])
    const second = await world.start()
    await soon(() =>
      expect(second.problems()).toEqual([
        'presence-service: partition 1 stopped: parley.sessions/1: the record at 1 can not be decoded',
      ]),
    )
    expect(states(heard)).toEqual(['online'])
  })

  it('[P2] a stopped partition leaves nobody online: its users go offline as their leases end', async () => {
    const phone = deviceOn(1)
    const heard = await world.hear(phone.user)
    const service = await world.start()
    await world.say(phone.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    await appendTo(world.log, 1, Buffer.from('garbage'))
    await soon(() => expect(service.problems()).toHaveLength(1))
    world.skip(leaseMs + 1_000)
    await soon(() => expect(states(heard)).toEqual(['online', 'offline']))
  })

  it('[R15] fewer records than the group has committed stops the partition', async () => {
    const short: Log = {
      ...world.log,
      range: async (topic, partition) =>
        partition === 0 ? { earliest: 0, next: 0 } : world.log.range(topic, partition),
    }
    const phone = deviceOn(0)
    const heard = await world.hear(phone.user)
    const first = await world.start()
    await world.say(phone.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    await first.stop()
    const second = await world.start({ log: short })
    await soon(() => expect(second.problems()).toHaveLength(1))
    expect(second.problems()[0]).toContain('ends at 0 but the committed offset is at 1')
  })

  it('records trimmed beyond the committed offset goes on with the first that is left', async () => {
    const [before, early, late] = [deviceOn(0), deviceOn(0), deviceOn(0)]
    const [first, heard] = [await world.hear(before.user), await world.hear(late.user)]
    const gone = await world.start()
    await world.say(before.open())
    await soon(() => expect(states(first)).toEqual(['online']))
    await gone.stop()
    await world.say(early.open())
    await world.log.trim(topics.sessions, 0, 2)
    const service = await world.start()
    await world.say(late.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    expect(service.problems()).toEqual([])
  })
})
