import {
  type ConversationPayload,
  channels,
  decodeConversationPayload,
  encodeConversationSignal,
} from '@parley/proto/fan-out'
import type { TypingNotice } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type Client, welcomed } from './testing/client.ts'
import { createWorld, errorsLogged, type World, type WorldOptions } from './testing/world.ts'

let world: World
/** Milliseconds that the gateway's clock is ahead. */
let ahead = 0
afterEach(async () => {
  await world.stop()
  ahead = 0
  expect(errorsLogged.splice(0)).toEqual([])
})
async function start(options: WorldOptions = {}): Promise<World> {
  world = await createWorld({ now: () => Date.now() + ahead, ...options })
  return world
}
const [ann, ben, cat] = [newId(), newId(), newId()]
const protocols = ['parley.v1.json', 'parley.v1.msgpack'] as const

const typings = (client: Client) =>
  client.frames.filter((frame): frame is TypingNotice => frame.type === 'typing')
const states = (client: Client) => typings(client).map(({ active }) => active)
async function settled(client: Client): Promise<void> {
  const ref = newId()
  client.send({ type: 'ping', ref })
  await client.frame('pong', (pong) => pong.ref === ref)
}
const type = (client: Client, conversation: string, active = true) =>
  client.send({ type: 'typing', conversation, active })
/** A word from another gateway. */
const hear = (conversation: string, user: string, active: boolean, origin = newId()) =>
  world.bus.publish(
    channels.conversation(conversation),
    encodeConversationSignal({ type: 'typing', user, active, origin }),
  )

describe.each(protocols)('typing over %s', (subprotocol) => {
  test('[P3] is told to all but the connection it came from, and ends by its word', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const [phone, desk, reader] = await Promise.all([
      welcomed(world, ann, { subprotocol }),
      welcomed(world, ann, { subprotocol }),
      welcomed(world, ben, { subprotocol }),
    ])
    phone.send({ type: 'typing', conversation, active: true, ref: 'r' })
    await phone.frame('ok', ({ ref }) => ref === 'r')
    const shown = { type: 'typing', conversation, user: ann, active: true }
    expect(await reader.frame('typing')).toEqual(shown)
    expect(await desk.frame('typing')).toEqual(shown)
    type(phone, conversation, false)
    await reader.frame('typing', ({ active }) => !active)
    await desk.frame('typing', ({ active }) => !active)
    await settled(phone)
    expect(typings(phone)).toEqual([])
    expect(world.records, 'it is not logged').toEqual([])
  })
})

describe('[P3] the end is sent', () => {
  test('6 s after the last `active`, not before', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    type(client, conversation)
    await reader.frame('typing')
    ahead += 5_000
    type(client, conversation)
    await reader.until(() => typings(reader).length === 2, 'the repetition was not told')
    ahead += 5_500
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(states(reader)).toEqual([true, true])
    ahead += 500
    await reader.frame('typing', ({ active }) => !active)
    expect(states(reader)).toEqual([true, true, false])
  })

  test('when the connection closes', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    type(client, conversation)
    await reader.frame('typing')
    client.close()
    await reader.frame('typing', ({ active }) => !active)
  })

  test('when its user sends a message, after the event', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    type(client, conversation)
    await reader.frame('typing')
    client.send({ type: 'send', id: newId(), conversation, body: { text: 'x' } })
    await reader.frame('typing', ({ active }) => !active)
    ahead += 10_000
    await settled(reader)
    expect(states(reader), 'once').toEqual([true, false])
  })

  test('when a message of its user comes from elsewhere; an edit or another’s message ends nothing', async () => {
    await start()
    const conversation = world.create([ann, ben, cat])
    const reader = await welcomed(world, ben)
    await hear(conversation, ann, true)
    await reader.frame('typing')
    await world.append(conversation, [
      { sender: cat },
      { sender: ann, kind: 'reaction', target: newId(), body: { emoji: '!' } },
    ])
    await reader.until(() => reader.seqs(conversation).length === 2, 'no events')
    expect(states(reader)).toEqual([true])
    await world.append(conversation, [{ sender: ann }])
    await reader.frame('typing', ({ active }) => !active)
  })

  test('by this gateway when the one of its origin has died', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const reader = await welcomed(world, ben)
    await hear(conversation, ann, true)
    await reader.frame('typing')
    ahead += 7_000
    await new Promise((resolve) => setTimeout(resolve, 150))
    expect(states(reader)).toEqual([true])
    ahead += 1_000
    await reader.frame('typing', ({ active }) => !active)
  })

  test('when the user was removed; a late word of it is not shown', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const reader = await welcomed(world, ben)
    await hear(conversation, ann, true)
    await reader.frame('typing')
    await world.remove(conversation, ann)
    await hear(conversation, ann, true)
    await reader.frame('typing', ({ active }) => !active)
    await hear(conversation, cat, true)
    await reader.frame('typing', ({ user }) => user === cat)
    expect(typings(reader).map(({ user, active }) => [user, active])).toEqual([
      [ann, true],
      [ann, false],
      [cat, true],
    ])
  })
})

describe('[G6] typing', () => {
  test('outside is `not_found`, and is told to nobody', async () => {
    await start()
    const conversation = world.create([ben])
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    client.send({ type: 'typing', conversation, active: true, ref: 'r' })
    expect(await client.frame('error')).toMatchObject({ code: 'not_found', ref: 'r' })
    client.send({ type: 'typing', conversation: newId(), active: false })
    await client.frame('error', ({ ref }) => ref === undefined)
    await settled(reader)
    expect(typings(reader)).toEqual([])
  })

  test('is not told to who was removed', async () => {
    await start()
    const conversation = world.create([ann, ben, cat])
    const [client, gone, stays] = await Promise.all(
      [ann, ben, cat].map((user) => welcomed(world, user)),
    )
    await world.remove(conversation, ben)
    type(client as Client, conversation)
    await stays?.frame('typing')
    await settled(gone as Client)
    expect(typings(gone as Client)).toEqual([])
  })

  test('is not told to who is in doubt: the directory must say first', async () => {
    await start()
    const conversation = world.create([ann, ben, cat])
    const [gone, stays] = await Promise.all([ben, cat].map((user) => welcomed(world, user)))
    world.faults.losePublishes = true
    await world.remove(conversation, ben)
    world.faults.losePublishes = false
    world.directory.away = true
    await world.append(conversation, [{}])
    await hear(conversation, ann, true)
    await settled(gone as Client)
    await settled(stays as Client)
    expect(typings(gone as Client)).toEqual([])
  })

  test('of a removed user ends for the others', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    type(client, conversation)
    await reader.frame('typing')
    await world.remove(conversation, ann)
    await reader.frame('typing', ({ active }) => !active)
    client.send({ type: 'typing', conversation, active: true, ref: 'r' })
    expect(await client.frame('error')).toMatchObject({ code: 'not_found', ref: 'r' })
  })
})

describe('[G10] [P6] a flood of typing', () => {
  test('is dropped without a word, refused with a ref, and costs the bus little', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    const signals: ConversationPayload[] = []
    await world.bus.subscribe(channels.conversation(conversation), (payload) => {
      signals.push(decodeConversationPayload(payload))
    })
    for (let i = 0; i < 10; i++) {
      client.send(
        ...Array.from({ length: 50 }, () => ({
          type: 'typing' as const,
          conversation,
          active: true,
        })),
      )
    }
    client.send({ type: 'typing', conversation, active: true, ref: 'r' })
    expect(await client.frame('error')).toMatchObject({ code: 'rate_limited', ref: 'r' })
    await reader.frame('typing')
    expect(signals.length).toBeLessThan(5)
    expect(client.frames.filter(({ type: t }) => t === 'error')).toHaveLength(1)
    await vi.waitFor(async () => {
      client.send({ type: 'send', id: newId(), conversation, body: { text: 'x' } })
      await client.frame('ack')
    })
  })

  test('beyond what this gateway shows in a second is dropped; messages are not', async () => {
    await start({ bounds: { signalDeliveries: { perSecond: 1, burst: 4 } } })
    const conversation = world.create([ann, ben])
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    for (let i = 0; i < 20; i++) await hear(conversation, newId(), true)
    await world.append(conversation, [{}])
    await client.until(() => client.seqs(conversation).length === 1, 'no event')
    await settled(reader)
    expect(typings(reader)).toHaveLength(2)
    const { text } = await world.metrics.exposition()
    expect(text).toContain('parley_gateway_signals_dropped_total 18')
  })
})
