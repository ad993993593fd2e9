import { describe, expect, test } from 'vitest'
import { within } from '../harness/deadline.ts'
import { type ClientFrame, subprotocols } from '../harness/frames.ts'
import { uuid4, uuid7, uuidBytes } from '../harness/ids.ts'
import { openSocket, type SocketClient } from '../harness/socket-client.ts'
import { frameToArray, packValue } from '../harness/wire-msgpack.ts'
import { expectClose, expectStays, setUpNeighbourhood } from './neighbourhood.ts'

const place = setUpNeighbourhood()

/** `post` in the form of the connection's subprotocol, whatever the frame is. */
function postOdd(socket: SocketClient, json: unknown, msgpack: unknown): void {
  if (socket.protocol === 'parley.v1.json') socket.postRaw(JSON.stringify(json))
  else socket.postRaw(packValue(msgpack))
}

describe('frames that are none of ours, or not now', () => {
  test.each(subprotocols)(
    '%s: an unknown type is unsupported, the link stays',
    async (protocol) => {
      const socket = await place().connect(protocol)
      postOdd(socket, { type: 'nonsense' }, [99, 'x'])
      await expectStays(socket, 'unsupported')
    },
  )
  test.each(subprotocols)('%s: a server’s frame from a client is unsupported', async (protocol) => {
    const socket = await place().connect(protocol)
    const ack = { type: 'ack', id: uuid7(), conversation: place().ownPlace, seq: 1, at: 1 }
    postOdd(socket, ack, [65, uuidBytes(ack.id), uuidBytes(place().ownPlace), 1, 1])
    await expectStays(socket, 'unsupported')
  })
  test.each(subprotocols)(
    '[C6] %s: a second hello is invalid, the link stays',
    async (protocol) => {
      const socket = await place().connect(protocol)
      socket.post({ type: 'hello', token: place().mallory.accessToken, device: 'again' })
      await expectStays(socket, 'invalid')
    },
  )
  test.each(subprotocols)('[C4] %s: a frame before hello closes 4001', async (protocol) => {
    const socket = await openSocket(place().wsUrl, { protocol })
    socket.post({ type: 'ping', ref: 'early' })
    await expectClose(socket, 'unauthenticated', 4001)
  })
  test('[C3] no hello within 5 s closes 4004', async () => {
    const began = performance.now()
    const socket = await openSocket(place().wsUrl, { protocol: 'parley.v1.json' })
    expect((await within('it closes', 12_000, socket.closed)).code).toBe(4004)
    expect(performance.now() - began).toBeGreaterThan(4_000)
  })
})

describe('wrong fields are invalid, the link stays', () => {
  const send = (fields: Record<string, unknown>) => ({
    type: 'send',
    id: uuid7(),
    conversation: place().ownPlace,
    body: { text: 'x' },
    ...fields,
  })
  const sync = (fields: Record<string, unknown>) => ({
    type: 'sync',
    ref: 'r',
    conversation: place().ownPlace,
    ...fields,
  })
  const cases: [string, () => Record<string, unknown>][] = [
    ['no id', () => send({ id: undefined })],
    ['id null', () => send({ id: null })],
    ['id a number', () => send({ id: 7 })],
    ['id no UUID', () => send({ id: 'not-a-uuid' })],
    ['id of version 4', () => send({ id: uuid4() })],
    ['id 6 minutes ahead', () => send({ id: uuid7(Date.now() + 360_000) })],
    ['conversation no UUID', () => send({ conversation: 'general' })],
    ['conversation missing', () => send({ conversation: undefined })],
    ['body a string', () => send({ body: 'text' })],
    ['body an array', () => send({ body: ['text'] })],
    ['body missing', () => send({ body: undefined })],
    ['body empty', () => send({ body: {} })],
    ['text empty', () => send({ body: { text: '' } })],
    ['text a number', () => send({ body: { text: 5 } })],
    ['text an object', () => send({ body: { text: { a: 1 } } })],
    ['replyTo no UUID', () => send({ body: { text: 'x', replyTo: 'first' } })],
    ['mentions a string', () => send({ body: { text: 'x', mentions: 'all' } })],
    ['mentions no UUIDs', () => send({ body: { text: 'x', mentions: ['all'] } })],
    ['retry a string', () => send({ retry: 'yes' })],
    ['sync of a negative seq', () => sync({ after: -1 })],
    ['sync of half a seq', () => sync({ after: 0.5 })],
    ['sync of a seq beyond 2^53', () => sync({ after: 2 ** 60 })],
    ['sync of a string', () => sync({ after: '5' })],
    ['sync of 10^9', () => sync({ after: 0, limit: 1e9 })],
    ['sync of 501', () => sync({ after: 0, limit: 501 })],
    ['sync without a ref', () => sync({ ref: undefined, after: 0 })],
    ['ping with a number as ref', () => ({ type: 'ping', ref: 5 })],
    ['ping with a ref of 65', () => ({ type: 'ping', ref: 'r'.repeat(65) })],
    ['auth without a token', () => ({ type: 'auth', ref: 'r' })],
  ]
  for (const protocol of subprotocols) {
    test.each(cases)(`${protocol}: %s`, async (_name, make) => {
      const frame = make()
      const socket = await place().connect(protocol)
      if (protocol === 'parley.v1.json') socket.postRaw(JSON.stringify(frame))
      else socket.postRaw(packValue(frameToArrayAsIs(frame)))
      await expectStays(socket, 'invalid')
    })
  }
  test('JSON: an id in upper case', async () => {
    const socket = await place().connect('parley.v1.json')
    socket.post(send({ id: uuid7().toUpperCase() }))
    await expectStays(socket, 'invalid')
  })
  test('MessagePack: an id as text, and one of 15 bytes', async () => {
    for (const id of [uuid7(), Buffer.alloc(15)]) {
      const socket = await place().connect('parley.v1.msgpack')
      socket.postRaw(packValue([2, id, uuidBytes(place().ownPlace), { text: 'x' }]))
      await expectStays(socket, 'invalid')
    }
  })
  test('a hello of wrong form is refused', async () => {
    const hellos = [{}, { token: 5, device: 'd' }, { token: 'x' }]
    for (const fields of hellos) {
      const socket = await openSocket(place().wsUrl, { protocol: 'parley.v1.json' })
      socket.post({ type: 'hello', ...fields })
      const error = await socket.wait('error')
      expect(['invalid', 'unauthenticated']).toContain(error.code)
      await socket.close()
    }
  })
})

/** As `frameToArray`, but text that is no UUID stays text. */
function frameToArrayAsIs(frame: Record<string, unknown>): unknown[] {
  const known: ClientFrame = { ...frame, type: String(frame.type) }
  const spared: Record<string, unknown> = {}
  for (const field of ['id', 'conversation'] as const) {
    const value = frame[field]
    if (typeof value === 'string' && value.length !== 36) {
      spared[field] = value
      known[field] = undefined
    }
  }
  const array = frameToArray(known)
  if ('id' in spared) array[1] = spared.id
  if ('conversation' in spared) array[2] = spared.conversation
  return array
}
