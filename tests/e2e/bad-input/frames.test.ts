import { describe, expect, test } from 'vitest'
import { eventually, within } from '../harness/deadline.ts'
import { subprotocols } from '../harness/frames.ts'
import { openRawWire } from '../harness/raw-wire.ts'
import { encodeMessage, packValue } from '../harness/wire-msgpack.ts'
import { expectClose, setUpNeighbourhood } from './neighbourhood.ts'

const place = setUpNeighbourhood()

describe('bytes that are no frame close 4000', () => {
  test.each([
    ['half an object', '{"type":"ping"'],
    ['no JSON at all', 'hello'],
    ['nothing', ''],
    ['a number', '5'],
    ['a string', '"ping"'],
    ['null', 'null'],
    ['an object without a type', '{"ref":"x"}'],
    ['an array of no objects', '[1,2]'],
    ['1,000 levels', `{"type":"ping","deep":${nested(1_000)}}`],
    ['30,000 levels', nested(30_000)],
    ['65 frames', JSON.stringify(Array.from({ length: 65 }, () => ({ type: 'ping' })))],
  ])('JSON: %s', async (_name, text) => {
    const socket = await place().connect('parley.v1.json')
    socket.postRaw(text)
    await expectClose(socket, 'bad_frame', 4000)
  })

  const deep = Buffer.concat([
    Buffer.from([0x92, 0x0a]),
    Buffer.alloc(1_000, 0x91),
    Buffer.from([0xc0]),
  ])
  test.each([
    ['half an array', Buffer.from([0x93, 0x02])],
    ['a reserved byte', Buffer.from([0xc1])],
    ['nothing', Buffer.alloc(0)],
    ['an integer', packValue(5)],
    ['a map', packValue({ type: 'ping' })],
    ['a string where the code stands', packValue(['ping'])],
    ['bytes after the frame', Buffer.concat([packValue([10]), packValue([10])])],
    ['a length beyond the end', Buffer.from([0x92, 0x0a, 0xdb, 0xff, 0xff, 0xff, 0xff])],
    ['an array of four thousand million', Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['17 levels', Buffer.concat([Buffer.from([0x92, 0x0a]), Buffer.alloc(16, 0x91), packValue(1)])],
    ['1,000 levels', deep],
    ['60,000 levels', Buffer.alloc(60_000, 0x91)],
    ['an extension', Buffer.from([0x92, 0x0a, 0xd4, 0x01, 0x00])],
    ['a timestamp', Buffer.from([0x92, 0x0a, 0xd6, 0xff, 0, 0, 0, 0])],
    ['a msgpackr record', Buffer.from([0x92, 0x0a, 0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01])],
    ['65 frames', packValue(Array.from({ length: 65 }, () => [10]))],
  ])('MessagePack: %s', async (_name, bytes) => {
    const socket = await place().connect('parley.v1.msgpack')
    socket.postRaw(bytes)
    await expectClose(socket, 'bad_frame', 4000)
  })

  test.each(subprotocols)('%s: 64 frames at once are allowed, 65 are not', async (protocol) => {
    const socket = await place().connect(protocol)
    socket.post(Array.from({ length: 64 }, (_, i) => ({ type: 'ping', ref: `${i}` })))
    await socket.wait('pong', (f) => f.ref === '63')
    expect(socket.journal.filter((f) => f.type === 'pong')).toHaveLength(64)
    socket.post(Array.from({ length: 65 }, (_, i) => ({ type: 'ping', ref: `${i}` })))
    await expectClose(socket, 'bad_frame', 4000)
  })
})

describe('sizes', () => {
  const padded = (bytes: number) => {
    const empty = JSON.stringify({ type: 'ping', ref: 'big', pad: '' })
    return JSON.stringify({ type: 'ping', ref: 'big', pad: 'x'.repeat(bytes - empty.length) })
  }
  test('[C12] 64 KiB is read, one byte more is too_large and closes 4009', async () => {
    const socket = await place().connect('parley.v1.json')
    socket.postRaw(padded(65_536))
    await socket.wait('pong', (f) => f.ref === 'big')
    socket.postRaw(padded(65_537))
    await expectClose(socket, 'too_large', 4009)
  })
  test('[C12] up to 256 KiB it is answered, beyond the link ends', async () => {
    const socket = await place().connect('parley.v1.msgpack')
    socket.postRaw(Buffer.alloc(262_144, 0x91))
    await expectClose(socket, 'too_large', 4009)
    const other = await place().connect('parley.v1.json')
    other.postRaw('x'.repeat(300_000))
    await within('the link ends', 10_000, other.closed)
  })
  test.each(subprotocols)(
    '%s: a body beyond its bounds is refused, the link stays',
    async (protocol) => {
      const socket = await place().connect(protocol)
      const long = await socket.send(place().ownPlace, { text: 'x'.repeat(8_001) })
      expect(['invalid', 'too_large']).toContain((long as { code?: string }).code)
      const wide = await socket.send(place().ownPlace, {
        text: '😀'.repeat(4_000),
        pad: 'x'.repeat(20_000),
      })
      expect(wide.type === 'ack' || wide.code === 'too_large' || wide.code === 'invalid').toBe(true)
      await socket.ping()
      await socket.close()
    },
  )
})

describe('[C12] violations of RFC 6455 end the link', () => {
  test.each<[string, number, Buffer, { fin?: boolean; mask?: boolean }]>([
    ['bad UTF-8 in text', 1, Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d]), {}],
    ['an unknown opcode', 5, Buffer.from('x'), {}],
    ['a continuation of nothing', 0, Buffer.from('x'), {}],
    ['a control frame in pieces', 9, Buffer.from('x'), { fin: false }],
  ])('%s', async (_name, opcode, payload, options) => {
    const wire = await openRawWire(place().wsUrl, 'parley.v1.json')
    const hello = { type: 'hello', token: place().mallory.accessToken, device: 'raw' }
    wire.sendFrame(1, Buffer.from(JSON.stringify(hello)))
    wire.sendFrame(opcode, payload, options)
    await within('the link ends', 10_000, wire.ended)
  })

  test('an unmasked frame hurts nobody', async () => {
    // Not every server looks at the mask bit, and the link only may drop.
    const wire = await openRawWire(place().wsUrl, 'parley.v1.json')
    wire.sendFrame(1, Buffer.from('{"type":"ping","ref":"without a mask"}'), { mask: false })
    wire.destroy()
    await wire.ended
  })

  test('text on the MessagePack subprotocol, and binary on JSON, is answered or ends the link', async () => {
    const binary = await place().connect('parley.v1.msgpack')
    binary.postRaw('{"type":"ping"}')
    expect((await within('it closes', 10_000, binary.closed)).code).toBe(4000)
    const text = await place().connect('parley.v1.json')
    text.postRaw(packValue([10]))
    expect((await within('it closes', 10_000, text.closed)).code).toBe(4000)
  })

  test('noise instead of a handshake ends the link', async () => {
    const response = await fetch(place().wsUrl.replace('ws:', 'http:'))
    expect(response.status).toBeGreaterThanOrEqual(400)
  })
})

test('what was refused is counted', async () => {
  const count = async () => {
    const { text } = await place().world.http.raw('GET', '/metrics')
    const lines = text.split('\n').filter((line) => /[{,]code="bad_frame"[,}]/.test(line))
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }
  const before = await count()
  const socket = await place().connect('parley.v1.json')
  socket.postRaw('{')
  await within('it closes', 10_000, socket.closed)
  await eventually('the count rises', async () => (await count()) > before)
})

test('a frame that is encoded twice as a batch in a batch is bad_frame', async () => {
  const socket = await place().connect('parley.v1.msgpack')
  socket.postRaw(packValue([[[10]]]))
  await expectClose(socket, 'bad_frame', 4000)
  const good = await place().connect('parley.v1.msgpack')
  good.postRaw(encodeMessage([{ type: 'ping', ref: 'x' }]))
  await good.wait('pong', (f) => f.ref === 'x')
  await good.close()
})

function nested(levels: number): string {
  return `${'['.repeat(levels)}${']'.repeat(levels)}`
}
