import { codecFor } from '@parley/proto/codec'
import type { ServerFrame } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { afterEach, expect, test } from 'vitest'
import { type Client, welcomed } from './testing/client.ts'
import { connectRaw, opcodes, type RawSocket } from './testing/raw-socket.ts'
import { until } from './testing/until.ts'
import { createWorld, type World, type WorldOptions } from './testing/world.ts'

let world: World
afterEach(() => world.stop())
const [ann, ben] = [newId(), newId()]
const json = codecFor('parley.v1.json')
/** Conditions are waited for so long; a busy machine takes its time over tens of megabytes. */
const patienceMs = 30_000
const testMs = 120_000
/** Nothing but the reader's own stall may end its link in these tests. */
const lenient = { wsSlowReaderMs: 600_000, wsIdleSeconds: 960 }

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
    patienceMs,
  )
  raw.socket.pause()
  return { conversation, reader, raw }
}

async function gauge(name: string): Promise<number> {
  const { text } = await world.metrics.exposition()
  return Number(new RegExp(`parley_gateway_${name} (\\d+)`).exec(text)?.[1])
}
const lagging = () => gauge('lagging')

/** Some 160 KB for the room, all of it with the one who reads before more is written, so that he never lags. */
async function say(conversation: string, reader: Client, letter: string): Promise<void> {
  await world.append(conversation, Array(20).fill({ body: { text: letter.repeat(8_000) } }))
  const head = world.conversation(conversation).events.length
  const deadline = performance.now() + patienceMs
  while (reader.seqs(conversation).at(-1) !== head) {
    if (performance.now() > deadline) throw new Error('ben is behind')
    await new Promise((resolve) => setImmediate(resolve))
  }
  reader.frames.length = 0
}

/** Fills the stalled link, with more than kernels take if it must, until it is behind or given up. */
async function flood(conversation: string, reader: Client): Promise<void> {
  for (let i = 0; i < 200; i++) {
    await say(conversation, reader, 'x')
    if ((await lagging()) === 1 || (await closedSlow())) return
  }
  throw new Error('32 MB went into a link that nobody reads')
}

async function closedSlow(): Promise<boolean> {
  const { text } = await world.metrics.exposition()
  return text.includes('parley_gateway_closes_total{code="4008"} 1')
}

test(
  '[G7] [G8] [C13] a stalled reader holds bounded memory, is told by one gap when it reads again, and goes on',
  async () => {
    const { conversation, reader, raw } = await stalled({ config: lenient })
    await flood(conversation, reader)
    // 80 MB more for the room; nothing of it may wait for the stalled reader.
    for (let i = 0; i < 500; i++) {
      await say(conversation, reader, 'y')
      if (i % 10 === 0) expect(await gauge('backlog_bytes')).toBeLessThan(256 * 1024 + 64 * 1024)
    }

    raw.socket.resume()
    await until(
      () => framesOf(raw).some(({ type }) => type === 'gap'),
      () => 'no gap came',
      patienceMs,
    )
    await world.append(conversation, [{}])
    const head = world.conversation(conversation).events.length
    await until(
      () => framesOf(raw).some((frame) => frame.type === 'event' && frame.seq === head),
      () => 'it does not go on',
      patienceMs,
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
  },
  testMs,
)

test(
  '[G8] [C13] a reader that stays stalled is closed 4008, and the room goes on',
  async () => {
    const { conversation, reader, raw } = await stalled({
      config: { ...lenient, wsSlowReaderMs: 300 },
    })
    await flood(conversation, reader)
    await expect.poll(closedSlow, { timeout: patienceMs }).toBe(true)
    await expect.poll(lagging, { timeout: patienceMs }).toBe(0)
    raw.socket.resume()
    const close = await until(
      () => raw.frames().find(({ opcode }) => opcode === opcodes.close),
      () => 'not closed',
      patienceMs,
    )
    expect(close.payload.readUInt16BE(0)).toBe(4008)
    await say(conversation, reader, 'z')
  },
  testMs,
)

test(
  '[C13] a stalled reader still gets its answers',
  async () => {
    const { conversation, reader, raw } = await stalled({ config: lenient })
    await flood(conversation, reader)
    raw.send(opcodes.text, json.encodeClientFrame({ type: 'ping', ref: 'still there' }))
    await world.append(conversation, [{}])
    raw.socket.resume()
    await until(
      () => framesOf(raw).some((frame) => frame.type === 'pong' && frame.ref === 'still there'),
      () => 'no pong',
      patienceMs,
    )
    raw.socket.destroy()
  },
  testMs,
)
