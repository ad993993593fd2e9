import { codecFor } from '@parley/proto/codec'
import { channels, encodeConversationSignal } from '@parley/proto/fan-out'
import type { ServerFrame } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { expect, test } from 'vitest'
import { connectRaw, opcodes, type RawSocket } from './testing/raw-socket.ts'
import { until } from './testing/until.ts'
import { createWorld, errorsLogged } from './testing/world.ts'

const [ann, ben] = [newId(), newId()]
const json = codecFor('parley.v1.json')

function framesOf(raw: RawSocket): ServerFrame[] {
  const texts = raw.frames().filter(({ opcode }) => opcode === opcodes.text)
  return texts.flatMap(({ payload }) => {
    const decoded = json.decodeServerMessage(payload)
    if (!decoded.ok) throw new Error(decoded.message)
    return decoded.frames.map((one) => {
      if (!one.ok) throw new Error(one.message)
      return one.frame
    })
  })
}

test('[G10] what is shown and forgotten fills a stalled link only so far, and no event is withheld for it', {
  timeout: 30_000,
}, async () => {
  const world = await createWorld({
    bounds: { signalDeliveries: { perSecond: 0, burst: 1 }, ephemeralBytes: 16 * 1024 },
  })
  const gauge = async (name: string) => {
    const { text } = await world.metrics.exposition()
    return Number(new RegExp(`parley_gateway_${name} (\\d+)`).exec(text)?.[1])
  }
  try {
    const conversation = world.create([ann, ben])
    const raw = await connectRaw(world.port)
    const hello = { type: 'hello' as const, token: await world.token(ann), device: 'd' }
    raw.send(opcodes.text, json.encodeClientFrame(hello))
    await until(
      () => framesOf(raw).length > 0,
      () => 'no welcome',
    )
    raw.socket.pause()
    let seq = 0
    const flood = async () => {
      for (let i = 0; i < 2_000; i++) {
        seq += 1
        const payload = encodeConversationSignal({ type: 'read', user: ben, seq })
        await world.bus.publish(channels.conversation(conversation), payload)
        if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    }
    // Until the kernels take no more, and then on.
    while ((await gauge('backlog_bytes')) < 15_000) await flood()
    for (let i = 0; i < 5; i++) await flood()
    expect(await gauge('backlog_bytes')).toBeLessThan(17 * 1024)
    expect(await gauge('lagging')).toBe(0)
    await world.append(conversation, [{}])
    raw.socket.resume()
    await until(
      () => framesOf(raw).some((frame) => frame.type === 'event' && frame.seq === 2),
      () => 'no event came',
    )
    const types = new Set(framesOf(raw).map(({ type }) => type))
    expect([...types]).not.toContain('gap')
    raw.socket.destroy()
  } finally {
    await world.stop()
  }
  expect(errorsLogged.splice(0)).toEqual([])
})
