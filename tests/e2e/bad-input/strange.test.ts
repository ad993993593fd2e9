import { describe, expect, test } from 'vitest'
import { subprotocols } from '../harness/frames.ts'
import { restEventsTo } from '../harness/history.ts'
import { uuid7, uuidBytes } from '../harness/ids.ts'
import { packValue } from '../harness/wire-msgpack.ts'
import { setUpNeighbourhood } from './neighbourhood.ts'

const place = setUpNeighbourhood()

describe('what is strange but harmless', () => {
  test('`__proto__`, `constructor` and unknown fields change nothing', async () => {
    const socket = await place().connect('parley.v1.json')
    const id = uuid7()
    socket.postRaw(
      `{"type":"send","id":"${id}","conversation":"${place().ownPlace}","__proto__":{"polluted":true},` +
        `"body":{"text":"x","__proto__":{"text":"y","polluted":true},"constructor":{"prototype":{}}}}`,
    )
    const { seq } = await socket.wait('ack', (f) => f.id === id)
    const event = await socket.wait('event', (e) => e.id === id)
    expect(event.body).toEqual({ text: 'x' })
    socket.postRaw('{"__proto__":{"type":"ping","ref":"p"},"type":"ping","ref":"own"}')
    await socket.wait('pong', (f) => f.ref === 'own')
    const packed = await place().connect('parley.v1.msgpack')
    const other = uuid7()
    const body = Buffer.concat([
      Buffer.from([0x82]),
      packValue('text'),
      packValue('z'),
      packValue('__proto__'),
      packValue({ polluted: true }),
    ])
    const head = [0x02, 0xc4, 16, ...uuidBytes(other), 0xc4, 16, ...uuidBytes(place().ownPlace)]
    packed.postRaw(Buffer.concat([Buffer.from([0x94, ...head]), body]))
    await packed.wait('ack', (f) => f.id === other)
    const events = await restEventsTo(place().world, place().mallory, place().ownPlace, seq + 1)
    expect(events.find((e) => e.id === other)?.body).toEqual({ text: 'z' })
    await socket.close()
    await packed.close()
  })

  test('MessagePack: any integer format, integral float64 and extra elements are taken', async () => {
    const socket = await place().connect('parley.v1.msgpack')
    const sync = (after: Buffer, extra: Buffer[] = []) =>
      Buffer.concat([
        Buffer.from([0x90 | (5 + extra.length), 0x08]),
        packValue('r'),
        Buffer.from([0xc4, 16, ...uuidBytes(place().ownPlace)]),
        after,
        Buffer.from([0xcc, 5]),
        ...extra,
      ])
    const zeros = [
      Buffer.from([0xcc, 0]),
      Buffer.from([0xcd, 0, 0]),
      Buffer.from([0xce, 0, 0, 0, 0]),
      Buffer.from([0xcf, 0, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from([0xd0, 0]),
      Buffer.from([0xd3, 0, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from([0xcb, 0, 0, 0, 0, 0, 0, 0, 0]),
    ]
    for (const zero of zeros) {
      const from = socket.journal.length
      socket.postRaw(sync(zero, [packValue('later field'), packValue({ a: [1] })]))
      const page = await socket.wait('synced', () => true, { from })
      expect(page.events[0]?.seq).toBe(1)
    }
    await socket.close()
  })

  test('a batch of one frame, and fields that are null, are as usual', async () => {
    const socket = await place().connect('parley.v1.json')
    socket.postRaw('[{"type":"ping","ref":"one"}]')
    await socket.wait('pong', (f) => f.ref === 'one')
    const id = uuid7()
    const frame = { type: 'send', id, conversation: place().ownPlace, retry: null, ref: null }
    socket.postRaw(JSON.stringify({ ...frame, body: { text: 'x', replyTo: null } }))
    const event = await socket.wait('event', (e) => e.id === id)
    expect(event.body).toEqual({ text: 'x' })
    await socket.close()
  })

  test.each(subprotocols)('%s: a foreign conversation is not_found', async (protocol) => {
    const socket = await place().connect(protocol)
    for (const where of [place().foreignPlace, uuid7()]) {
      const answer = await socket.send(where, { text: 'hi' })
      expect(answer).toMatchObject({ type: 'error', code: 'not_found', retryable: false })
      await expect(socket.sync(where, 0)).rejects.toThrow(/not_found/)
    }
    await socket.ping()
    await socket.close()
  })

  test('[S7] more than 32 sends in flight are refused, retryably, and none of the acked is lost', async () => {
    const socket = await place().connect('parley.v1.json')
    const ids = Array.from({ length: 64 }, () => uuid7())
    socket.post(
      ids.map((id) => ({ type: 'send', id, conversation: place().ownPlace, body: { text: id } })),
    )
    const answered = async (id: string) =>
      Promise.race([
        socket.wait('ack', (f) => f.id === id),
        socket.wait('error', (f) => f.id === id),
      ])
    const answers = await Promise.all(ids.map(answered))
    const refused = answers.filter((a) => a.type === 'error')
    for (const answer of refused) {
      expect(answer).toMatchObject({ retryable: true })
      expect(['too_many_inflight', 'overloaded', 'rate_limited']).toContain(answer.code)
    }
    const firstRefused = answers.findIndex((a) => a.type === 'error')
    expect(firstRefused, '32 are allowed').toBeGreaterThanOrEqual(32)
    // [G5] After one refused for load all later ones are, until it comes again.
    expect(answers.slice(firstRefused).every((a) => a.type === 'error')).toBe(true)
    for (const id of ids.slice(firstRefused)) {
      const again = await socket.send(place().ownPlace, { text: id }, { id, retry: true })
      expect(again.type, JSON.stringify(again)).toBe('ack')
    }
    const last = Math.max(...socket.journal.map((f) => (f.type === 'ack' ? f.seq : 0)))
    const events = await restEventsTo(place().world, place().mallory, place().ownPlace, last)
    expect(events.filter((e) => ids.includes(e.id)).map((e) => e.id)).toEqual(ids)
    await socket.close()
  })
})
