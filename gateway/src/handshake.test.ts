import { newId } from '@parley/proto/ids'
import { expect, test } from 'vitest'
import { welcomed } from './testing/client.ts'
import { connectRaw, opcodes } from './testing/raw-socket.ts'
import { createWorld, type WorldOptions } from './testing/world.ts'

async function withWorld(
  options: WorldOptions,
  run: (world: Awaited<ReturnType<typeof createWorld>>) => Promise<void>,
): Promise<void> {
  const world = await createWorld(options)
  try {
    await run(world)
  } finally {
    await world.stop()
  }
}

test('[C1] a gateway that is full answers 503 and says when to come again', () =>
  withWorld({ config: { wsMaxConnections: 1 } }, async (world) => {
    await welcomed(world, newId())
    const refused = await connectRaw(world.port)
    expect(refused.response).toMatch(/^HTTP\/1.1 503/)
    expect(refused.response).toMatch(/^retry-after: [1-9]\d*\r$/im)
  }))

test('[C2] an origin that is not allowed is closed 4003; an allowed one, and none, are let in', () =>
  withWorld({ config: { wsAllowedOrigins: 'https://chat.example' } }, async (world) => {
    const foreign = ['https://evil.example', 'http://chat.example', 'null']
    for (const origin of foreign) {
      const refused = await connectRaw(world.port, { origin })
      expect(await refused.closed(), origin).toBe(4003)
    }
    for (const headers of [{ origin: 'https://chat.example' }, {}]) {
      const allowed = await connectRaw(world.port, headers)
      allowed.send(opcodes.text, Buffer.from('{"type":"ping"}'))
      expect(await allowed.closed(), 'it was read as a frame before hello').toBe(4001)
    }
  }))

test('[S5] after `unavailable` the command may stand, and the same id gets its place', () =>
  withWorld({ bounds: { replyTimeoutMs: 100 } }, async (world) => {
    const ann = newId()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    const id = newId()
    const send = () => client.send({ type: 'send', id, conversation, body: { text: 'x' } })
    world.faults.silent = true
    send()
    expect(await client.frame('error')).toMatchObject({ code: 'unavailable', retryable: true, id })
    await client.until(() => client.seqs(conversation).length === 1, 'the event did not come')
    world.faults.silent = false
    send()
    const [seq] = client.seqs(conversation)
    expect(await client.frame('ack')).toMatchObject({ id, seq, duplicate: true })
    expect(client.seqs(conversation)).toHaveLength(1)
  }))

test('[S5] an error that is not retryable is final: nothing of it stands, and it comes again', () =>
  withWorld({}, async (world) => {
    const [ann, ben] = [newId(), newId()]
    const conversation = world.create([ben])
    const client = await welcomed(world, ann)
    const id = newId()
    for (let i = 1; i <= 2; i++) {
      client.send({ type: 'send', id, conversation, body: { text: 'x' } })
      await client.until(() => client.frames.filter((f) => f.type === 'error').length === i, 'none')
    }
    expect(client.frames.filter((f) => f.type === 'error')).toEqual([
      expect.objectContaining({ code: 'not_found', retryable: false, id }),
      expect.objectContaining({ code: 'not_found', retryable: false, id }),
    ])
    expect(world.conversation(conversation).events).toHaveLength(1)
  }))
