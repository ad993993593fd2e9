import { newId } from '@parley/proto/ids'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { welcomed } from './testing/client.ts'
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
const [ann, ben, cat] = [newId(), newId(), newId()]
const protocols = ['parley.v1.json', 'parley.v1.msgpack'] as const

describe.each(protocols)('over %s', (subprotocol) => {
  test('[Y10] `added` carries info and comes before anything of the conversation', async () => {
    await start()
    const conversation = world.create([ben], 3)
    await welcomed(world, ben)
    const client = await welcomed(world, ann, { subprotocol })
    const seq = await world.add(conversation, ann)
    await world.append(conversation, [{}, {}])
    await client.until(() => client.seqs(conversation).at(-1) === seq + 2, 'not all events came')
    expect(client.seqs(conversation), 'the joining itself too').toEqual([seq, seq + 1, seq + 2])
    expect(client.frames[1]).toMatchObject({
      type: 'conversation',
      change: 'added',
      conversation,
      info: { id: conversation, memberCount: 2 },
    })
  })

  test('[Y11] a title comes as an event and as `updated` with info, once, to all members', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const clients = await Promise.all(
      [ann, ben].map((user) => welcomed(world, user, { subprotocol })),
    )
    await world.retitle(conversation, 'Engines')
    for (const client of clients) {
      const told = await client.frame('conversation')
      expect(told).toMatchObject({ change: 'updated', conversation, info: { title: 'Engines' } })
      expect(client.events(conversation)).toMatchObject([{ kind: 'updated' }])
      expect(client.frames.filter(({ type }) => type === 'conversation')).toHaveLength(1)
    }
  })
})

test('[Y11] one’s own role comes as `updated`, once, though storage says it again', async () => {
  await start()
  const conversation = world.create([ann, ben])
  const [client, other] = [await welcomed(world, ann), await welcomed(world, ben)]
  const body = { user: ann, role: 'admin' as const }
  const [event] = await world.append(conversation, [{ kind: 'role', body }])
  const notice = { type: 'updated' as const, conversation, seq: event?.seq as number }
  await world.notify(ann, notice)
  expect(await client.frame('conversation')).toMatchObject({ change: 'updated', info: {} })
  await world.notify(ann, notice)
  client.send({ type: 'ping' })
  await client.frame('pong')
  expect(client.frames.filter(({ type }) => type === 'conversation')).toHaveLength(1)
  await other.until(() => other.seqs(conversation).length === 1, 'no event')
  expect(other.frames.some(({ type }) => type === 'conversation')).toBe(false)
})

test('[G7] [Y10] events that come while the info is read wait for `added`', async () => {
  await start()
  const conversation = world.create([ben], 3)
  await welcomed(world, ben)
  const client = await welcomed(world, ann)
  let release = () => {}
  world.directory.infosHeld = new Promise((resolve) => {
    release = resolve
  })
  const seq = await world.add(conversation, ann)
  await world.append(conversation, [{}])
  await vi.waitFor(() => expect(world.directory.calls.infos).toBe(1))
  client.send({ type: 'ping' })
  await client.frame('pong')
  expect(client.frames.map(({ type }) => type)).toEqual(['welcome', 'pong'])
  release()
  await client.until(() => client.seqs(conversation).length === 2, 'no events')
  expect(client.seqs(conversation)).toEqual([seq, seq + 1])
})

test('[G7] [Y10] [Y11] while the directory can not answer in time frames go without info', async () => {
  await start({ bounds: { infoWaitMs: 100 } })
  const conversation = world.create([ben], 3)
  await welcomed(world, ben)
  const client = await welcomed(world, ann)
  world.directory.infosHeld = new Promise(() => {})
  const seq = await world.add(conversation, ann)
  const added = await client.frame('conversation')
  expect(added).toEqual({ type: 'conversation', change: 'added', conversation })
  await client.until(() => client.seqs(conversation).includes(seq), 'no event')
  world.directory.away = true
  await world.retitle(conversation, 'x')
  const updated = await client.frame('conversation', ({ change }) => change === 'updated')
  expect(updated).not.toHaveProperty('info')
})

test('[G6] who is removed while the info is read is told nothing of it', async () => {
  await start()
  const conversation = world.create([ben], 3)
  const other = await welcomed(world, ben)
  const client = await welcomed(world, ann)
  let release = () => {}
  world.directory.infosHeld = new Promise((resolve) => {
    release = resolve
  })
  await world.add(conversation, ann)
  await vi.waitFor(() => expect(world.directory.calls.infos).toBe(1))
  const seq = await world.remove(conversation, ann)
  await other.until(() => other.seqs(conversation).at(-1) === seq, 'ben did not get the removal')
  release()
  await world.append(conversation, [{}])
  client.send({ type: 'ping' })
  await client.frame('pong')
  expect(client.frames.map(({ type }) => type)).toEqual(['welcome', 'pong'])
})

test('[G8] [Y11] a title in a conversation with many readers here comes without info, by one frame for all', async () => {
  await start()
  const conversation = world.create([ann, ben, cat])
  const clients = await Promise.all(Array.from({ length: 101 }, () => welcomed(world, ann)))
  await world.retitle(conversation, 'x')
  for (const client of clients) {
    expect(await client.frame('conversation')).toEqual({
      type: 'conversation',
      change: 'updated',
      conversation,
    })
  }
  expect(world.directory.calls.infos).toBe(0)
})
