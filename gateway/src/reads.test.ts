import {
  channels,
  decodeConversationPayload,
  encodeConversationSignal,
} from '@parley/proto/fan-out'
import type { ReadPosition } from '@parley/proto/frames'
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
const [ann, ben, cat] = [newId(), newId(), newId()]
const protocols = ['parley.v1.json', 'parley.v1.msgpack'] as const

const reads = (client: Client) =>
  client.frames.filter((frame): frame is ReadPosition => frame.type === 'read')
/** Everything the gateway has to say to this client so far has come. */
async function settled(client: Client): Promise<void> {
  const ref = newId()
  client.send({ type: 'ping', ref })
  await client.frame('pong', (pong) => pong.ref === ref)
}
/** Says that a conversation was read, and waits for the `ok`. */
async function read(client: Client, conversation: string, seq: number): Promise<void> {
  const ref = newId()
  client.send({ type: 'read', conversation, seq, ref })
  await client.frame('ok', (ok) => ok.ref === ref)
}

describe.each(protocols)('a read over %s', (subprotocol) => {
  test('[P4] is in the log before its ok, and shown to the others and to one’s other devices', async () => {
    await start()
    const conversation = world.create([ann, ben], 5)
    const [phone, desk, reader] = await Promise.all([
      welcomed(world, ann, { subprotocol }),
      welcomed(world, ann, { subprotocol }),
      welcomed(world, ben, { subprotocol }),
    ])
    phone.send({ type: 'read', conversation, seq: 4, ref: 'r' })
    await phone.frame('ok', ({ ref }) => ref === 'r')
    expect(world.cursors).toEqual([{ conversation, user: ann, seq: 4, head: 6 }])
    const shown = { type: 'read', conversation, user: ann, seq: 4 }
    expect(await reader.frame('read')).toEqual(shown)
    expect(await desk.frame('read')).toEqual(shown)
    await settled(phone)
    expect(reads(phone), 'its own device knows').toEqual([])
    expect(reads(desk)).toHaveLength(1)
  })
})

describe('a read', () => {
  test('[G9] beyond the head counts as the head', async () => {
    await start()
    const conversation = world.create([ann, ben], 5)
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    await read(client, conversation, 1_000_000)
    expect(world.cursors).toEqual([{ conversation, user: ann, seq: 6, head: 6 }])
    expect(await reader.frame('read')).toMatchObject({ seq: 6 })
  })

  test('[G9] up to a head that only the directory, or only an ack, has told of', async () => {
    await start()
    const conversation = world.create([ann, ben], 5)
    const client = await welcomed(world, ann)
    world.faults.losePublishes = true
    await world.append(conversation, [{}, {}])
    await read(client, conversation, 8)
    expect(world.cursors.at(-1)).toMatchObject({ seq: 8 })
    const id = newId()
    client.send({ type: 'send', id, conversation, body: { text: 'x' } })
    const { seq } = await client.frame('ack')
    expect(seq).toBe(9)
    const { checks } = world.directory.calls
    await read(client, conversation, 9)
    expect(world.directory.calls.checks, 'the ack was enough').toBe(checks)
  })

  test('[G9] lower than a position before changes nothing, on whichever device', async () => {
    await start()
    const conversation = world.create([ann, ben], 9)
    world.conversation(conversation).reads.set(ann, 2)
    const [phone, desk, reader] = await Promise.all([
      welcomed(world, ann),
      welcomed(world, ann),
      welcomed(world, ben),
    ])
    await read(phone, conversation, 2)
    expect(world.cursors, 'stored already').toEqual([])
    await read(phone, conversation, 7)
    await desk.frame('read', ({ seq }) => seq === 7)
    await read(desk, conversation, 5)
    await read(desk, conversation, 8)
    await reader.frame('read', ({ seq }) => seq === 8)
    expect(reads(reader).map(({ seq }) => seq)).toEqual([7, 8])
    expect(world.cursors.map(({ seq }) => seq)).toEqual([7, 8])
  })

  test('[G9] one’s own message counts as read', async () => {
    await start()
    const conversation = world.create([ann, ben])
    const client = await welcomed(world, ann)
    client.send({ type: 'send', id: newId(), conversation, body: { text: 'x' } })
    const { seq } = await client.frame('ack')
    await read(client, conversation, seq)
    expect(world.cursors).toEqual([])
  })

  test('[G9] nobody is shown a lower position than before, in whatever order gateways tell', async () => {
    await start()
    const conversation = world.create([ann, ben], 9)
    const reader = await welcomed(world, ben)
    for (const seq of [3, 7, 5, 7, 8]) {
      const payload = encodeConversationSignal({ type: 'read', user: ann, seq })
      await world.bus.publish(channels.conversation(conversation), payload)
    }
    await reader.frame('read', ({ seq }) => seq === 8)
    expect(reads(reader).map(({ seq }) => seq)).toEqual([3, 7, 8])
  })

  test('[G8] many in a moment are one position in the log and one frame', async () => {
    await start()
    const conversation = world.create([ann, ben], 300)
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    for (let seq = 1; seq <= 300; seq += 50) {
      const frames = Array.from({ length: 50 }, (_, i) => ({
        type: 'read' as const,
        conversation,
        seq: seq + i,
      }))
      client.send(...frames)
    }
    await reader.frame('read', ({ seq }) => seq === 300)
    expect(reads(reader).length).toBeLessThan(5)
    expect(world.cursors.length).toBeLessThan(5)
    expect(client.frames.map(({ type }) => type)).toEqual(['welcome'])
  })

  test('[G6] outside is `not_found`, with a ref or without, and writes nothing', async () => {
    await start()
    const conversation = world.create([ben], 3)
    const client = await welcomed(world, ann)
    client.send({ type: 'read', conversation, seq: 1, ref: 'r' })
    expect(await client.frame('error')).toMatchObject({ code: 'not_found', ref: 'r' })
    client.send({ type: 'read', conversation: newId(), seq: 1 })
    expect(await client.frame('error', ({ ref }) => ref === undefined)).toMatchObject({
      code: 'not_found',
    })
    expect(world.cursors).toEqual([])
  })

  test('[G6] after a removal is `not_found`, though the removal was not seen to go by', async () => {
    await start()
    const conversation = world.create([ann, ben], 3)
    const client = await welcomed(world, ann)
    world.faults.losePublishes = true
    await world.remove(conversation, ann)
    world.faults.losePublishes = false
    await world.append(conversation, [{}])
    await client.frame('conversation', ({ change }) => change === 'removed')
    client.send({ type: 'read', conversation, seq: 2, ref: 'r' })
    expect(await client.frame('error')).toMatchObject({ code: 'not_found', ref: 'r' })
  })

  test('while a head beyond the known one can not be asked for is `unavailable`', async () => {
    await start()
    const conversation = world.create([ann], 3)
    const client = await welcomed(world, ann)
    world.directory.away = true
    client.send({ type: 'read', conversation, seq: 99, ref: 'r' })
    expect(await client.frame('error')).toMatchObject({ code: 'unavailable', ref: 'r' })
    await read(client, conversation, 3)
  })

  test('[G8] while the log is away waits, is `unavailable` after its time, and is not lost', async () => {
    await start({ bounds: { replyTimeoutMs: 300 } })
    const conversation = world.create([ann, ben], 9)
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    world.faults.rejectAppends = true
    for (const [seq, ref] of [
      [3, '3'],
      [4, '4'],
    ] as const) {
      client.send({ type: 'read', conversation, seq, ref })
      expect(await client.frame('error', (error) => error.ref === ref)).toMatchObject({
        code: 'unavailable',
        retryable: true,
      })
    }
    expect(reads(reader), 'what is not durable is not shown').toEqual([])
    const overfull = Array.from({ length: 70 }, (_, i) => `many ${i}`)
    client.send(
      ...overfull.slice(0, 50).map((ref) => ({ type: 'read' as const, conversation, seq: 5, ref })),
    )
    client.send(
      ...overfull.slice(50).map((ref) => ({ type: 'read' as const, conversation, seq: 5, ref })),
    )
    await client.frame('error', ({ code }) => code === 'too_many_inflight')
    world.faults.rejectAppends = false
    await reader.frame('read', ({ seq }) => seq === 5)
    expect(Math.max(...world.cursors.map(({ seq }) => seq))).toBe(5)
  })

  test('taken in just before a stop is in the log after it', async () => {
    await start({ config: { wsDrainMs: 100 } })
    const conversation = world.create([ann], 3)
    const client = await welcomed(world, ann)
    client.send({ type: 'read', conversation, seq: 3 })
    await settled(client)
    await world.gateway.stop()
    expect(world.cursors).toEqual([{ conversation, user: ann, seq: 3, head: 4 }])
  })
})

describe('others’ positions', () => {
  const crowd = (count: number) => Array.from({ length: count }, () => newId())

  test('[P4] are shown up to 100 members, and not beyond', async () => {
    await start()
    const few = world.create([ann, ben, ...crowd(98)], 3)
    const many = world.create([ann, ben, ...crowd(99)], 3)
    const [client, desk, reader] = await Promise.all([
      welcomed(world, ann),
      welcomed(world, ann),
      welcomed(world, ben),
    ])
    await read(client, many, 3)
    await read(client, few, 3)
    await reader.frame('read')
    expect(reads(reader).map(({ conversation }) => conversation)).toEqual([few])
    await desk.frame('read', ({ conversation }) => conversation === many)
  })

  test('[P4] follow the number of members as it changes', async () => {
    await start()
    const others = crowd(98)
    const conversation = world.create([ann, ben, ...others], 9)
    const [client, reader] = [await welcomed(world, ann), await welcomed(world, ben)]
    await world.add(conversation, cat)
    await reader.until(() => reader.seqs(conversation).length === 1, 'no event')
    await read(client, conversation, 3)
    await world.remove(conversation, cat)
    await world.remove(conversation, others[0] as string)
    await reader.until(() => reader.seqs(conversation).length === 3, 'no event')
    await read(client, conversation, 4)
    await reader.frame('read')
    expect(reads(reader).map(({ seq }) => seq)).toEqual([4])
  })

  test('[G6] are not shown to who is removed', async () => {
    await start()
    const conversation = world.create([ann, ben, cat], 9)
    const [client, gone, stays] = await Promise.all(
      [ann, ben, cat].map((user) => welcomed(world, user)),
    )
    await world.remove(conversation, ben)
    await read(client as Client, conversation, 4)
    await stays?.frame('read')
    await settled(gone as Client)
    expect(reads(gone as Client)).toEqual([])
  })

  test('[G10] [P6] are not published when the log does not take them', async () => {
    await start({ bounds: { replyTimeoutMs: 200 } })
    const conversation = world.create([ann, ben], 9)
    const client = await welcomed(world, ann)
    const signals: unknown[] = []
    await world.bus.subscribe(channels.conversation(conversation), (payload) => {
      signals.push(decodeConversationPayload(payload))
    })
    world.faults.rejectAppends = true
    client.send({ type: 'read', conversation, seq: 4, ref: 'r' })
    await client.frame('error')
    expect(signals).toEqual([])
    world.faults.rejectAppends = false
    await vi.waitFor(() => expect(signals).toEqual([{ type: 'read', user: ann, seq: 4 }]))
  })
})
