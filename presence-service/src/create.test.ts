import { createMemoryPresenceStore } from '@parley/platform/memory/presence-store'
import type { Bus } from '@parley/platform/ports/bus'
import type { PresenceStore } from '@parley/platform/ports/presence-store'
import { createLogger } from '@parley/platform/process/logs'
import { createInProcessRpc } from '@parley/platform/rpc/in-process'
import { newId, parseId } from '@parley/proto/ids'
import { PresenceService as Rpc } from '@parley/proto/rpc/presence_pb'
import { presenceTimes } from '@parley/proto/session-records'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createPresenceService, type PresenceService } from './create.ts'
import { device, openWorld, type Told, userOf, type World } from './testing/world.ts'

const partitions = 2
const { leaseMs, awayMs, changeMs, renewMs } = presenceTimes

const silent = createLogger({ name: 'test', level: 'silent' })

let world: World
beforeEach(async () => {
  world = await openWorld(partitions)
})
afterEach(() => world.close())

const states = (heard: Told[]) => heard.map(({ state }) => state)

function soon(look: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(look, { timeout: 10_000, interval: 5 })
}

async function ask(service: PresenceService, users: Uint8Array[]) {
  const rpc = createInProcessRpc()
  rpc.serve('presence', service.routes)
  const { users: answers } = await rpc.client(Rpc, 'presence').getPresence({ users })
  return answers.map(({ state, lastSeen }) => ({ state, lastSeen }))
}

async function stateOf(service: PresenceService, user: string): Promise<string | undefined> {
  const [answer] = await ask(service, [parseId(user)])
  return answer?.state
}

describe('presence-service', { timeout: 30_000 }, () => {
  it('[P2] tells that someone is online, and within 3 s of a clean close that it is offline, and since when', async () => {
    const service = await world.start()
    const phone = device(world)
    const heard = await world.hear(phone.user)
    await world.say(phone.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    expect(await ask(service, [parseId(phone.user)])).toEqual([{ state: 'online' }])
    const closed = phone.closed()
    await world.say(closed)
    await soon(() => expect(states(heard)).toEqual(['online', 'offline']))
    expect(heard[1]?.lastSeen).toBe(closed.at)
    expect((heard[1] as Told).atMs - closed.at).toBeLessThan(3_000)
    expect(await ask(service, [parseId(phone.user)])).toEqual([
      { state: 'offline', lastSeen: BigInt(closed.at) },
    ])
  })

  it('[P2] online while any device is, and nothing is told of devices that change nothing', async () => {
    await world.start()
    const phone = device(world)
    const [laptop, witness] = [device(world, phone.user), device(world)]
    const [heard, other] = [await world.hear(phone.user), await world.hear(witness.user)]
    await world.say(phone.open(), laptop.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    await world.say(phone.closed(), laptop.open(), witness.open())
    await soon(() => expect(states(other)).toEqual(['online']))
    world.skip(changeMs)
    await world.say(laptop.closed())
    await soon(() => expect(states(heard)).toEqual(['online', 'offline']))
  })

  it('[P2] away five minutes after anything but pings, online again with the next', async () => {
    const service = await world.start()
    const phone = device(world)
    const heard = await world.hear(phone.user)
    await world.say(phone.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    for (let idleMs = renewMs; idleMs < awayMs; idleMs += renewMs) {
      world.skip(renewMs)
      const renewal = phone.open(idleMs)
      await world.say(renewal)
      await soon(async () => {
        const [leases] = await world.store.read([phone.user])
        expect(leases?.activeAt).toBe(renewal.activeAt)
      })
      // Not one renewal has said anything new, the clock has not gone five minutes.
      expect(states(heard)).toEqual(['online'])
    }
    const before = world.now()
    world.skip(renewMs)
    await soon(() => expect(states(heard)).toEqual(['online', 'away']))
    expect((heard[1] as Told).atMs - before).toBeLessThan(renewMs + 3_000)
    expect(await stateOf(service, phone.user)).toBe('away')
    world.skip(changeMs)
    await world.say(phone.open())
    await soon(() => expect(states(heard)).toEqual(['online', 'away', 'online']))
  })

  it('[P2] of a lost link offline within 45 s, and not while its lease lasts', async () => {
    await world.start({ settings: { sweepIntervalMs: 250 } })
    const phone = device(world)
    const heard = await world.hear(phone.user)
    const open = phone.open()
    await world.say(open)
    await soon(() => expect(states(heard)).toEqual(['online']))
    world.skip(leaseMs - 3_000)
    const lastSeen = await soonAfterSteps(() => heard[1]?.lastSeen)
    const told = heard[1] as Told
    expect(states(heard)).toEqual(['online', 'offline'])
    expect(told.atMs - open.at).toBeGreaterThanOrEqual(leaseMs)
    expect(told.atMs - open.at).toBeLessThan(45_000)
    expect(lastSeen - open.at).toBeGreaterThanOrEqual(leaseMs)
    expect(lastSeen).toBeLessThanOrEqual(told.atMs)
  })

  /** Time goes by in small steps, each long enough for a sweep. */
  async function soonAfterSteps(found: () => number | undefined): Promise<number> {
    await vi.waitFor(
      () => {
        world.skip(200)
        expect(found()).toBeDefined()
      },
      { timeout: 20_000, interval: 250 },
    )
    return found() as number
  }

  it('[P2] tells of one user at most once a second, and the last change always', async () => {
    const publishedMs: number[] = []
    const bus: Bus = {
      ...world.bus,
      publish(channel, payload) {
        publishedMs.push(world.now())
        return world.bus.publish(channel, payload)
      },
    }
    await world.start({ bus })
    const phone = device(world)
    const heard = await world.hear(phone.user)
    const endMs = Date.now() + 2_500
    let last = phone.open()
    await vi.waitFor(
      async () => {
        last = last.state === 'open' ? phone.closed() : phone.open()
        await world.say(last)
        expect(Date.now()).toBeGreaterThan(endMs)
      },
      { timeout: 10_000, interval: 20 },
    )
    last = phone.closed()
    await world.say(last)
    await soon(() => expect(heard.at(-1)?.lastSeen).toBe(last.at))
    expect(publishedMs).toHaveLength(heard.length)
    expect(heard.length).toBeGreaterThanOrEqual(3)
    for (const [i, atMs] of publishedMs.entries()) {
      // From the decision to the publish is a moment that may differ.
      if (i > 0) expect(atMs - (publishedMs[i - 1] ?? 0)).toBeGreaterThan(changeMs - 50)
    }
  })

  it('history is not brought back to life: what is older than a lease is left out, and the start is where the group left off', async () => {
    const [old, recent] = [device(world), device(world)]
    const [heardOld, heard] = [await world.hear(old.user), await world.hear(recent.user)]
    await world.say(old.open())
    world.skip(leaseMs)
    await world.say(recent.open())
    const first = await world.start()
    await soon(() => expect(states(heard)).toEqual(['online']))
    expect(await stateOf(first, old.user)).toBe('offline')
    expect(await world.metric('parley_presence_notices_dropped_total')).toBe(1)
    await first.stop()

    world.skip(changeMs)
    await world.say(recent.closed())
    await world.start()
    await soon(() => expect(states(heard)).toEqual(['online', 'offline']))
    expect(await world.metric('parley_presence_notices_total')).toBe(1)
    expect(await world.metric('parley_presence_notices_dropped_total')).toBe(0)
    expect(heardOld).toEqual([])
  })

  it('a notice that waited in the log counts from when it was said', async () => {
    const phone = device(world)
    const heard = await world.hear(phone.user)
    const open = phone.open()
    await world.say(open)
    world.skip(leaseMs - 2_000)
    await world.start()
    await soon(() => expect(states(heard)).toEqual(['online']))
    world.skip(changeMs + 2_000)
    await soon(() => expect(states(heard)).toEqual(['online', 'offline']))
    expect((heard[1] as Told).atMs - open.at).toBeLessThan(45_000)
  })

  it('two processes share the partitions, and each user is told of once', async () => {
    await world.start()
    const phones = Array.from({ length: 40 }, () => device(world))
    const heard = await Promise.all(phones.map(({ user }) => world.hear(user)))
    await world.say(...phones.slice(0, 20).map((phone) => phone.open()))
    await soon(() => expect(heard.slice(0, 20).map(states)).toEqual(Array(20).fill(['online'])))
    await world.start()
    await world.say(...phones.slice(20).map((phone) => phone.open()))
    await soon(() => expect(heard.map(states)).toEqual(Array(40).fill(['online'])))
    world.skip(changeMs)
    await world.say(...phones.map((phone) => phone.closed()))
    await soon(() => {
      for (const told of heard) expect(states(told)).toEqual(['online', 'offline'])
    })
  })

  it('[P2] who takes a partition over tells of those who became away meanwhile', async () => {
    const first = await world.start()
    const [phone, laptop] = [device(world), device(world)]
    const [heard, other] = [await world.hear(phone.user), await world.hear(laptop.user)]
    const opened = [phone.open(awayMs - 20_000), laptop.open(awayMs - 30_000)] as const
    await world.say(...opened)
    await soon(() => expect([states(heard), states(other)]).toEqual([['online'], ['online']]))
    await first.stop()
    world.skip(21_000)
    await world.start()
    await world.say(...opened.map((notice) => ({ ...notice, at: world.now() })))
    await soon(() => expect(states(heard)).toEqual(['online', 'away']))
    expect(states(other)).toEqual(['online'])
    world.skip(9_000)
    await soon(() => expect(states(other)).toEqual(['online', 'away']))
  })

  it('[P2] stopping tells of what was taken from the store and had to wait for its second', async () => {
    const taken: string[] = []
    const store: PresenceStore = {
      ...world.store,
      async changed(shard, limit) {
        const users = await world.store.changed(shard, limit)
        taken.push(...users)
        return users
      },
    }
    const service = await world.start({ store })
    const phone = device(world)
    const heard = await world.hear(phone.user)
    await world.say(phone.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    await world.say(phone.closed())
    await soon(() => expect(taken).toEqual([phone.user, phone.user]))
    expect(states(heard)).toEqual(['online'])
    await service.stop()
    await soon(() => expect(states(heard)).toEqual(['online', 'offline']))
    const [online, offline] = heard as [Told, Told]
    expect(offline.atMs - online.atMs).toBeGreaterThan(changeMs - 100)
    await service.stop()
  })

  it('[G8] the log is trimmed behind what is committed, and the next start goes on', async () => {
    const service = await world.start({ settings: { commitIntervalMs: 10, trimIntervalMs: 50 } })
    const phone = device(world, userOf(0, partitions))
    const heard = await world.hear(phone.user)
    await world.say(phone.open())
    await world.say(phone.open())
    const topic = 'parley.sessions'
    await soon(async () => {
      expect(await world.log.range(topic, 0)).toEqual({ earliest: 2, next: 2 })
    })
    expect(await world.metric('parley_presence_lag_records')).toBe(0)
    await service.stop()
    world.skip(changeMs)
    const next = await world.start()
    await world.say(phone.closed())
    await soon(() => expect(states(heard)).toEqual(['online', 'offline']))
    expect(next.problems()).toEqual([])
  })

  it('a store of another number of shards is refused', () => {
    const store = createMemoryPresenceStore({ shards: partitions + 1 })
    expect(() => createPresenceService({}, { ...world, store, logger: silent })).toThrow(
      'the presence store has 3 shards, parley.sessions 2 partitions',
    )
  })

  it('GetPresence answers in the order asked, of anyone, and refuses what is too much or no id', async () => {
    const service = await world.start()
    const [here, gone] = [device(world), device(world)]
    const heard = await world.hear(here.user)
    await world.say(gone.closed(), here.open())
    await soon(() => expect(states(heard)).toEqual(['online']))
    const asked = [gone.user, newId(), here.user, gone.user].map(parseId)
    await soon(async () => {
      const answers = await ask(service, asked)
      expect(answers.map(({ state }) => state)).toEqual(['offline', 'offline', 'online', 'offline'])
      expect(answers.map(({ lastSeen }) => lastSeen !== undefined)).toEqual([
        true,
        false,
        false,
        true,
      ])
    })
    expect(await ask(service, [])).toEqual([])
    expect(await ask(service, Array(1_000).fill(asked[2]))).toHaveLength(1_000)
    await expect(ask(service, Array(1_001).fill(asked[2]))).rejects.toThrow('at most 1000 users')
    await expect(ask(service, [Buffer.alloc(15)])).rejects.toThrow('16 bytes')
  })
})
