import { channels, encodeUserNotice } from '@parley/proto/fan-out'
import type { Presence } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type Client, welcomed } from './testing/client.ts'
import { createWorld, errorsLogged, type World, type WorldOptions } from './testing/world.ts'

let world: World
afterEach(async () => {
  await world.stop()
  expect(errorsLogged.splice(0)).toEqual([])
})
async function start(options: WorldOptions = {}): Promise<World> {
  world = await createWorld(options)
  return world
}
const [ann, ben, cat, dan] = [newId(), newId(), newId(), newId()]
const protocols = ['parley.v1.json', 'parley.v1.msgpack'] as const
const online = (id: string) => ({ id, state: 'online' as const })
const offline = (id: string) => ({ id, state: 'offline' as const })
const seen = (id: string) => ({ id, state: 'offline' as const, lastSeen: 1_790_000_000_000 })

const presences = (client: Client) =>
  client.frames
    .filter((frame): frame is Presence => frame.type === 'presence')
    .map(({ users }) => users)
/** Watches, and waits for the first `presence`. */
async function watch(client: Client, users: string[]): Promise<Presence['users']> {
  const before = presences(client).length
  const ref = newId()
  client.send({ type: 'watch', users, ref })
  await client.frame('ok', (ok) => ok.ref === ref)
  await client.until(() => presences(client).length > before, 'no presence came')
  return presences(client)[before] as Presence['users']
}
async function settled(client: Client): Promise<void> {
  const ref = newId()
  client.send({ type: 'ping', ref })
  await client.frame('pong', (pong) => pong.ref === ref)
}

describe.each(protocols)('watch over %s', (subprotocol) => {
  test('[P1] is answered by ok, then all at once, then changes', async () => {
    await start()
    world.create([ann, ben, cat])
    await world.setPresence(online(ben))
    await world.setPresence(seen(cat))
    const client = await welcomed(world, ann, { subprotocol })
    expect(await watch(client, [ben, cat, dan])).toEqual([online(ben), seen(cat), offline(dan)])
    const types = client.frames.map(({ type }) => type)
    expect(types.indexOf('ok')).toBeLessThan(types.indexOf('presence'))
    await world.setPresence({ id: ben, state: 'away' })
    await client.until(() => presences(client).length === 2, 'no change came')
    expect(presences(client)[1]).toEqual([{ id: ben, state: 'away' }])
  })
})

describe('watch', () => {
  test('without a ref is answered by presence alone; of nobody by an empty one', async () => {
    await start()
    const client = await welcomed(world, ann)
    client.send({ type: 'watch', users: [] })
    expect(await client.frame('presence')).toEqual({ type: 'presence', users: [] })
    expect(client.frames.map(({ type }) => type)).toEqual(['welcome', 'presence'])
  })

  test('[P1] replaces the set: who is left out is told of no more', async () => {
    await start()
    world.create([ann, ben, cat])
    const client = await welcomed(world, ann)
    await watch(client, [ben, cat])
    expect(await watch(client, [cat])).toEqual([offline(cat)])
    await world.setPresence(online(ben))
    await world.setPresence(online(cat))
    await client.until(() => presences(client).length === 3, 'no change came')
    await settled(client)
    expect(presences(client).slice(2)).toEqual([[online(cat)]])
  })

  test('[P5] a stranger is offline, never seen, and told of no more', async () => {
    await start()
    world.create([ann])
    world.create([ben])
    await world.setPresence(seen(ben))
    const client = await welcomed(world, ann)
    expect(await watch(client, [ben])).toEqual([offline(ben)])
    await world.setPresence(online(ben))
    await settled(client)
    expect(presences(client)).toHaveLength(1)
    expect(world.presence.asked.flat()).not.toContain(ben)
  })

  test('[P5] who leaves the last conversation shared is offline from then on', async () => {
    await start()
    const conversation = world.create([ann, ben])
    await world.setPresence(online(ben))
    const client = await welcomed(world, ann)
    await watch(client, [ben])
    await world.remove(conversation, ben)
    await client.until(() => presences(client).length === 2, 'nothing was told')
    expect(presences(client)[1]).toEqual([offline(ben)])
    await world.setPresence(seen(ben))
    await settled(client)
    expect(presences(client)).toHaveLength(2)
  })

  test('[P5] who is removed itself sees only those with whom it shares another conversation', async () => {
    await start()
    const conversation = world.create([ann, ben, cat])
    world.create([ann, cat])
    await world.setPresence(online(ben))
    await world.setPresence(online(cat))
    const client = await welcomed(world, ann)
    await watch(client, [ben, cat])
    await world.remove(conversation, ann)
    await client.until(() => presences(client).length === 2, 'nothing was told')
    expect(presences(client)[1]).toEqual([offline(ben)])
    await world.setPresence({ id: cat, state: 'away' })
    await client.until(() => presences(client).length === 3, 'nothing was told')
  })

  test('[P5] who was removed while publishes were lost is found out', async () => {
    await start()
    const conversation = world.create([ann, ben])
    await world.setPresence(online(ben))
    const client = await welcomed(world, ann)
    await watch(client, [ben])
    world.faults.losePublishes = true
    await world.remove(conversation, ann)
    world.faults.losePublishes = false
    await world.append(conversation, [{}])
    await client.until(() => presences(client).length === 2, 'nothing was told')
    expect(presences(client)[1]).toEqual([offline(ben)])
  })

  test('a stranger who comes into a conversation is shown', async () => {
    await start()
    const conversation = world.create([ann])
    await world.setPresence(online(ben))
    const client = await welcomed(world, ann)
    expect(await watch(client, [ben])).toEqual([offline(ben)])
    const together = world.create([ben])
    await world.add(together, ann)
    await client.until(() => presences(client).length === 2, 'nothing was told')
    expect(presences(client)[1]).toEqual([online(ben)])
    expect(conversation).not.toBe(together)
  })

  test('while presence-service or the directory is away is answered by ok, and by presence once it is back', async () => {
    await start()
    world.create([ann, ben])
    await world.setPresence(online(ben))
    const client = await welcomed(world, ann)
    for (const part of [world.presence, world.directory]) {
      part.away = true
      const before = presences(client).length
      client.send({ type: 'watch', users: [ben, cat], ref: 'r' })
      await client.frame('ok')
      await settled(client)
      expect(presences(client)).toHaveLength(before)
      part.away = false
      await client.until(() => presences(client).length > before, 'no presence came')
      expect(presences(client).at(-1)).toEqual([online(ben), offline(cat)])
      await watch(client, [])
    }
  })

  test('a change that was lost shows after a while', async () => {
    await start({ bounds: { presenceRefreshMs: 300 } })
    world.create([ann, ben])
    const client = await welcomed(world, ann)
    await watch(client, [ben])
    world.faults.losePublishes = true
    await world.setPresence(online(ben))
    await client.until(() => presences(client).length === 2, 'nothing was told')
    expect(presences(client)[1]).toEqual([online(ben)])
  })

  test('a change that was lost in a break of the bus shows when it is mended', async () => {
    await start()
    world.create([ann, ben])
    const client = await welcomed(world, ann)
    await watch(client, [ben])
    world.faults.losePublishes = true
    await world.setPresence(online(ben))
    world.faults.losePublishes = false
    world.interrupt()
    await client.until(() => presences(client).length === 2, 'nothing was told')
  })

  test('users watched by many are asked for together and heard once', async () => {
    await start()
    const users = Array.from({ length: 400 }, () => newId())
    world.create([ann, ben, ...users])
    const clients = await Promise.all([ann, ann, ben].map((user) => welcomed(world, user)))
    await Promise.all(clients.map((client) => watch(client, users)))
    expect(world.presence.asked.length).toBeLessThan(5)
    expect(world.presence.asked.flat()).toHaveLength(400)
    await world.setPresence(online(users[0] as string))
    for (const client of clients) {
      await client.until(() => presences(client).length === 2, 'no change came')
    }
    for (const client of clients) client.close()
    await vi.waitFor(async () => {
      const { text } = await world.metrics.exposition()
      expect(text).toMatch(/parley_gateway_watched 0\n/)
    })
  })

  test('[G8] [L2] beyond the bound of the gateway is `overloaded`', async () => {
    await start({ bounds: { maxWatched: 3 } })
    const client = await welcomed(world, ann)
    await watch(client, [ben, cat])
    const second = await welcomed(world, ann)
    second.send({ type: 'watch', users: [ben, cat], ref: 'r' })
    expect(await second.frame('error')).toMatchObject({ code: 'overloaded', ref: 'r' })
  })

  test('[G8] floods are refused', async () => {
    await start()
    const client = await welcomed(world, ann)
    for (let i = 0; i < 50; i++) client.send({ type: 'watch', users: [ben], ref: `${i}` })
    await client.frame('error', ({ ref }) => ref === '49')
    const refused = client.frames.filter(({ type }) => type === 'error')
    expect(refused.length).toBeGreaterThan(30)
    expect(refused[0]).toMatchObject({ code: 'rate_limited', retryable: true })
    expect(world.directory.calls.acquaintances).toBeLessThan(20)
  })
})

test('[P5] a notice of membership that comes twice asks no more than needed', async () => {
  await start()
  const conversation = world.create([ann, ben])
  const client = await welcomed(world, ann)
  await watch(client, [ben])
  const payload = encodeUserNotice({ type: 'added', conversation, seq: 1, from: 1 })
  for (let i = 0; i < 5; i++) await world.bus.publish(channels.user(ann), payload)
  await settled(client)
  expect(world.directory.calls.acquaintances).toBe(1)
})
