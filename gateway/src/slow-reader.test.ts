import { codecFor } from '@parley/proto/codec'
import type { ServerFrame } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { afterEach, expect, test, vi } from 'vitest'
import { welcomed } from './testing/client.ts'
import { connectRaw, opcodes, type RawSocket } from './testing/raw-socket.ts'
import { until } from './testing/until.ts'
import { createWorld, type World, type WorldOptions } from './testing/world.ts'

let world: World
afterEach(() => world.stop())
const [ann, ben] = [newId(), newId()]
const json = codecFor('parley.v1.json')

function framesOf(raw: RawSocket): ServerFrame[] {
  return raw
    .frames()
    .filter(({ opcode }) => opcode === opcodes.text)
    .flatMap(({ payload }) => {
      const decoded = json.decodeServerMessage(payload)
      if (!decoded.ok) throw new Error(decoded.message)
      return decoded.frames.map((one) => {
        if (!one.ok) throw new Error(one.message)
        return one.frame
      })
    })
}

/** A reader that says hello and then stops reading. */
async function stalled(options: WorldOptions) {
  world = await createWorld(options)
  const conversation = world.create([ann, ben])
  const reader = await welcomed(world, ben)
  const raw = await connectRaw(world.port)
  const hello = { type: 'hello' as const, token: await world.token(ann), device: 'd' }
  raw.send(opcodes.text, json.encodeClientFrame(hello))
  await until(
    () => framesOf(raw).length > 0,
    () => 'no welcome',
  )
  raw.socket.pause()
  return { conversation, reader, raw }
}

async function gauge(name: string): Promise<number> {
  const { text } = await world.metrics.exposition()
  return Number(new RegExp(`parley_gateway_${name} (\\d+)`).exec(text)?.[1])
}
const lagging = () => gauge('lagging')

/** Fills the stalled link: more than kernels take, by far. */
async function flood(conversation: string): Promise<number> {
  const text = 'x'.repeat(8_000)
  let written = 0
  for (let i = 0; i < 200 && (await lagging()) === 0; i++) {
    await world.append(conversation, Array(20).fill({ body: { text } }))
    written += 20 * 8_000
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await lagging()).toBe(1)
  return written
}

test('[G7] [G8] a stalled reader holds bounded memory, is told by one gap when it reads again, and goes on', async () => {
  const { conversation, reader, raw } = await stalled({})
  await flood(conversation)
  // 80 MB more for the room; nothing of it may wait for the stalled reader.
  const text = 'y'.repeat(8_000)
  for (let i = 0; i < 500; i++) {
    await world.append(conversation, Array(20).fill({ body: { text } }))
    if (i % 10 !== 0) continue
    const head = world.conversation(conversation).events.length
    await reader.until(() => reader.seqs(conversation).at(-1) === head, 'ben is behind')
    reader.frames.length = 0
    expect(await gauge('backlog_bytes')).toBeLessThan(256 * 1024 + 64 * 1024)
  }

  raw.socket.resume()
  await until(
    () => framesOf(raw).some(({ type }) => type === 'gap'),
    () => 'no gap came',
  )
  await world.append(conversation, [{}])
  const head = world.conversation(conversation).events.length
  await until(
    () => framesOf(raw).some((frame) => frame.type === 'event' && frame.seq === head),
    () => 'it does not go on',
  )
  let told = 1
  for (const frame of framesOf(raw)) {
    if (frame.type === 'gap') told = frame.head
    if (frame.type === 'event') {
      expect(frame.seq).toBe(told + 1)
      told = frame.seq
    }
  }
  expect(framesOf(raw).filter(({ type }) => type === 'gap')).toHaveLength(1)
  raw.socket.destroy()
})

test('[G8] a reader that stays stalled is closed 4008, and the room goes on', async () => {
  const { conversation, reader, raw } = await stalled({ config: { wsSlowReaderMs: 300 } })
  await flood(conversation)
  await vi.waitFor(async () => expect(await lagging()).toBe(0), { timeout: 3_000 })
  const { text } = await world.metrics.exposition()
  expect(text).toContain('parley_gateway_closes_total{code="4008"} 1')
  raw.socket.resume()
  expect(await raw.closed()).toBe(4008)
  await world.append(conversation, [{}])
  const head = world.conversation(conversation).events.length
  await reader.until(() => reader.seqs(conversation).at(-1) === head, 'ben is behind')
})

test('a stalled reader still gets its answers', async () => {
  const { conversation, raw } = await stalled({})
  await flood(conversation)
  raw.send(opcodes.text, json.encodeClientFrame({ type: 'ping', ref: 'still there' }))
  await world.append(conversation, [{}])
  raw.socket.resume()
  await until(
    () => framesOf(raw).some((frame) => frame.type === 'pong' && frame.ref === 'still there'),
    () => 'no pong',
  )
  raw.socket.destroy()
})
