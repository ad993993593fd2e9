import { codecFor } from '@parley/proto/codec'
import { encodeEventFrame } from '@parley/proto/event-frame'
import type { Event } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { describe, expect, test } from 'vitest'
import { chunkOf, eventChunks, RunChunks } from './chunks.ts'
import { type Chunk, Outbound, type OutboundBounds } from './outbound.ts'

const msgpack = codecFor('parley.v1.msgpack')
const json = codecFor('parley.v1.json')
const conversation = newId()
const event = (seq: number, text = `${seq}`): Event => ({
  type: 'event',
  conversation,
  seq,
  id: newId(),
  kind: 'message',
  sender: newId(),
  at: seq,
  body: { text },
})
const bounds: OutboundBounds = {
  eventBytes: 1_000,
  ephemeralBytes: 250,
  answerBytes: 500,
  messageBytes: 400,
  lagMs: 30_000,
}

function open(codec = msgpack, more: Partial<OutboundBounds> = {}) {
  const link = {
    sent: [] as Uint8Array[],
    buffered: 0,
    answer: 1,
    corks: 0,
    ended: [] as unknown[],
  }
  const outlet = { writing: true, add() {} }
  const time = { now: 0 }
  let slow = 0
  const out = new Outbound({
    codec,
    link: {
      send(message) {
        link.sent.push(message)
        return link.answer
      },
      bufferedBytes: () => link.buffered,
      cork(write) {
        link.corks += 1
        write()
      },
      end: (code) => void link.ended.push(code),
    },
    bounds: { ...bounds, ...more },
    outlet,
    now: () => time.now,
    onSlow: () => {
      slow += 1
    },
    onWritten() {},
  })
  return { out, link, outlet, time, slow: () => slow }
}
const raw = (length: number): Chunk => chunkOf(msgpack, [new Uint8Array(length)])
const framesOf = (codec: typeof json | typeof msgpack, message: Uint8Array) => {
  const decoded = codec.decodeServerMessage(message)
  if (!decoded.ok) throw new Error(decoded.message)
  return decoded.frames.map((one) => one.ok && one.frame)
}

describe('writing', () => {
  test.each([msgpack, json])(
    'what came in one turn leaves as one message ($subprotocol)',
    (codec) => {
      const { out, link } = open(codec, { messageBytes: 10_000, eventBytes: 10_000 })
      const events = [event(1), event(2), event(3)]
      const frames = events.map(encodeEventFrame)
      const pong = { type: 'pong' as const, time: 1 }
      out.answer(codec.encodeServerFrame(pong))
      for (const chunk of eventChunks(codec, frames.slice(0, 2), 10_000)) out.events(chunk)
      for (const chunk of eventChunks(codec, frames.slice(2), 10_000)) out.events(chunk)
      out.flush()
      expect(link.sent).toHaveLength(1)
      expect(framesOf(codec, link.sent[0] as Uint8Array)).toEqual([pong, ...events])
    },
  )

  test('a single chunk is written as the very message that its other readers get', () => {
    const chunk = eventChunks(msgpack, [event(1), event(2)].map(encodeEventFrame), 10_000)[0]
    const readers = [open(), open()]
    for (const { out } of readers) {
      out.events(chunk as Chunk)
      out.flush()
    }
    for (const { link } of readers) expect(link.sent[0]).toBe(chunk?.message)
  })

  test('a message is no larger than its bound, and several leave in one syscall', () => {
    const { out, link, outlet } = open()
    outlet.writing = false
    for (let i = 0; i < 5; i++) out.events(raw(150))
    out.flush()
    expect(link.sent.map((message) => message.length)).toEqual([301, 301, 150])
    expect(link.corks).toBe(1)
  })
})

describe('[G8] [C13] a reader that does not take what it is sent', () => {
  test('gets no events until half of the bound is free, but its answers', () => {
    const { out, link } = open()
    link.buffered = 900
    expect(out.events(raw(200))).toBe(false)
    expect(out.events(raw(1))).toBe(false)
    out.answer(new Uint8Array(10))
    out.flush()
    expect(link.sent).toHaveLength(1)
    link.buffered = 600
    expect(out.recovered()).toBe(false)
    link.buffered = 500
    expect(out.recovered()).toBe(true)
    expect(out.events(raw(200))).toBe(true)
  })

  test('is not taken for slow when the socket takes everything at once', () => {
    const { out, link } = open()
    for (let i = 0; i < 20; i++) expect(out.events(raw(300))).toBe(true)
    expect(link.sent.length).toBeGreaterThan(10)
  })

  test('is overdue after its time, and at once when its answers pile up or are dropped', () => {
    const { out, link, time, slow } = open()
    link.buffered = 1_000
    out.events(raw(100))
    expect(out.overdue(29_999)).toBe(false)
    expect(out.overdue(30_000)).toBe(true)
    time.now = 30_000
    link.buffered = 1_501
    out.answer(new Uint8Array(1))
    expect(slow()).toBe(1)
    link.buffered = 0
    link.answer = 2
    out.answer(new Uint8Array(1))
    out.flush()
    expect(slow()).toBe(2)
  })
})

describe('[G10] [P6] what may be lost', () => {
  test('goes out while the link is nearly free, and is dropped before any event is', () => {
    const { out, link } = open()
    link.buffered = 200
    expect(out.ephemeral(raw(50))).toBe(true)
    expect(out.ephemeral(raw(1))).toBe(false)
    expect(out.events(raw(700))).toBe(true)
    expect(out.laggingSince).toBeNull()
  })

  test('is dropped while events are withheld, and on a closed link', () => {
    const { out, link } = open()
    link.buffered = 1_000
    out.events(raw(1))
    link.buffered = 0
    expect(out.ephemeral(raw(1))).toBe(false)
    out.abandon()
    expect(out.ephemeral(raw(1))).toBe(false)
  })
})

test('end writes what waits, then closes, once', () => {
  const { out, link } = open()
  out.answer(new Uint8Array(3))
  out.end({ code: 4000, text: 'badFrame' })
  out.end({ code: 4001, text: 'unauthenticated' })
  out.answer(new Uint8Array(3))
  expect(link.sent).toHaveLength(1)
  expect(link.ended).toEqual([4000])
})

describe('chunks of a run', () => {
  const frames = [1, 2, 3, 4].map((seq) => encodeEventFrame(event(seq)))
  const run = { first: 1, frames, removed: [], joined: 0, updated: 0 }

  test('are made once for all readers of a codec, and MessagePack is not encoded again', () => {
    const chunks = new RunChunks(10_000)
    const made = chunks.of(run, msgpack, 1, 4)
    expect(chunks.of(run, msgpack, 1, 4)).toBe(made)
    expect(made[0]?.bytes).toEqual(Buffer.concat(frames))
    expect(chunks.of(run, json, 1, 4)).not.toBe(made)
    expect(
      framesOf(msgpack, chunks.of(run, msgpack, 3, 4)[0]?.message as Uint8Array),
    ).toMatchObject([{ seq: 3 }, { seq: 4 }])
  })

  test('are cut by size, each event whole', () => {
    const size = frames[0]?.length as number
    const chunks = new RunChunks(size * 2).of(run, msgpack, 1, 4)
    expect(chunks.map(({ count }) => count)).toEqual([2, 2])
  })
})
