import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codecFor, encodeSyncedFromFrames, jsonFromMsgpack } from './codec.ts'
import {
  arbitraryClientFrame,
  arbitraryEvent,
  arbitraryId,
  arbitraryServerFrame,
} from './frame-arbitraries.ts'
import { clientFrames, serverFrames } from './frame-table.ts'
import { type ClientFrame, type ServerFrame, subprotocols } from './frames.ts'
import { limits } from './limits.ts'
import { pack } from './pack.ts'

const json = codecFor('parley.v1.json')
const msgpack = codecFor('parley.v1.msgpack')
const both = [json, msgpack]
const ping: ClientFrame = { type: 'ping' }
const one = (frame: ClientFrame | ServerFrame) => ({ ok: true, frames: [{ ok: true, frame }] })

describe('codecs', () => {
  it('[F1] there is one for each subprotocol', () => {
    for (const subprotocol of subprotocols) {
      expect(codecFor(subprotocol).subprotocol).toBe(subprotocol)
    }
    expect([json.binary, msgpack.binary]).toEqual([false, true])
  })

  it('[F14] any frame comes back as it was, from both alike', () => {
    for (const codec of both) {
      fc.assert(
        fc.property(arbitraryClientFrame, (frame) => {
          expect(codec.decodeClientMessage(codec.encodeClientFrame(frame))).toEqual(one(frame))
        }),
        { numRuns: 500 },
      )
      fc.assert(
        fc.property(arbitraryServerFrame, (frame) => {
          expect(codec.decodeServerMessage(codec.encodeServerFrame(frame))).toEqual(one(frame))
        }),
        { numRuns: 500 },
      )
    }
  })

  it('[F14] what was decoded is encoded to the same bytes again', () => {
    for (const codec of both) {
      fc.assert(
        fc.property(arbitraryClientFrame, (frame) => {
          const bytes = codec.encodeClientFrame(frame)
          const decoded = codec.decodeClientMessage(bytes)
          const again = decoded.ok && decoded.frames[0]?.ok ? decoded.frames[0].frame : ping
          expect(Buffer.from(codec.encodeClientFrame(again)).equals(bytes)).toBe(true)
        }),
      )
    }
  })

  it('[F14] no two frames of one side share a type or a code', () => {
    for (const rows of [clientFrames, serverFrames]) {
      expect(new Set(rows.map(({ type }) => type)).size).toBe(rows.length)
      expect(new Set(rows.map(({ code }) => code)).size).toBe(rows.length)
    }
  })

  it('[F12] holds no reference to the bytes it came from', () => {
    for (const codec of both) {
      fc.assert(
        fc.property(arbitraryClientFrame, (frame) => {
          const bytes = Uint8Array.from(codec.encodeClientFrame(frame))
          const decoded = codec.decodeClientMessage(bytes)
          bytes.fill(0)
          expect(decoded).toEqual(one(frame))
        }),
      )
    }
  })

  it('[F2] a client message holds 1 to 64 frames, a server message any number', () => {
    for (const codec of both) {
      const frame = codec.encodeClientFrame(ping)
      const holds = (count: number) => new Array<Uint8Array>(count).fill(frame)
      for (const count of [1, 2, 15, 16, 64]) {
        const decoded = codec.decodeClientMessage(codec.joinFrames(holds(count)))
        expect(decoded).toEqual({
          ok: true,
          frames: new Array(count).fill({ ok: true, frame: ping }),
        })
      }
      const tooMany = codec.decodeClientMessage(codec.joinFrames(holds(65)))
      expect(tooMany).toMatchObject({ ok: false, code: 'bad_frame' })
      const pong = codec.encodeServerFrame({ type: 'pong', time: 1 })
      const many = codec.decodeServerMessage(codec.joinFrames(new Array(1_000).fill(pong)))
      expect(many.ok && many.frames.length).toBe(1_000)
      expect(() => codec.joinFrames([])).toThrow(RangeError)
      expect(() => codec.wrapFrames([], 0)).toThrow(RangeError)
    }
  })

  it('[F3] each frame of a batch has its own answer, in order', () => {
    for (const codec of both) {
      const id = '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55'
      const wrong = { type: 'read', conversation: id, seq: -1, ref: 'r' } as const
      const batch = codec.joinFrames([ping, wrong, ping].map(codec.encodeClientFrame))
      expect(codec.decodeClientMessage(batch)).toEqual({
        ok: true,
        frames: [
          { ok: true, frame: ping },
          {
            ok: false,
            code: 'invalid',
            message: `read: seq must be an integer from 1 to ${Number.MAX_SAFE_INTEGER}`,
            type: 'read',
            ref: 'r',
          },
          { ok: true, frame: ping },
        ],
      })
    }
  })

  it('[F1] frames joined in any cut are the same message', () => {
    const groups = fc.array(fc.array(arbitraryServerFrame, { maxLength: 6 }), { maxLength: 5 })
    for (const codec of both) {
      fc.assert(
        fc.property(groups, (cut) => {
          const encoded = cut.map((frames) => frames.map(codec.encodeServerFrame))
          const all = encoded.flat()
          if (all.length === 0) return
          const parts = encoded.map(codec.concatFrames)
          const whole = codec.joinFrames(all)
          expect(Buffer.from(codec.wrapFrames(parts, all.length)).equals(whole)).toBe(true)
          expect(codec.decodeServerMessage(whole)).toEqual({
            ok: true,
            frames: cut.flat().map((frame) => ({ ok: true, frame })),
          })
        }),
        { numRuns: 50 },
      )
    }
  })

  it('[J8] the JSON of a frame in MessagePack is the JSON of the frame', () => {
    fc.assert(
      fc.property(arbitraryServerFrame, (frame) => {
        const transcoded = jsonFromMsgpack(msgpack.encodeServerFrame(frame))
        expect(Buffer.from(transcoded).equals(json.encodeServerFrame(frame))).toBe(true)
      }),
      { numRuns: 500 },
    )
    expect(() => jsonFromMsgpack(pack([67, 'no event']))).toThrow()
    expect(() => jsonFromMsgpack(pack([1, 'token', 'device']))).toThrow()
  })

  it('[M13] a page put together of event frames is the page encoded anew', () => {
    const page = fc.record({
      ref: fc.string({ unit: 'binary', maxLength: 32 }),
      conversation: arbitraryId(),
      head: fc.maxSafeNat(),
      from: fc.maxSafeNat(),
      more: fc.boolean(),
    })
    fc.assert(
      fc.property(page, fc.array(arbitraryEvent, { maxLength: 40 }), (p, events) => {
        const frames = events.map(msgpack.encodeServerFrame)
        for (const codec of both) {
          const expected = codec.encodeServerFrame({ type: 'synced', ...p, events })
          const given = encodeSyncedFromFrames(codec, p, frames)
          expect(Buffer.from(given).equals(expected)).toBe(true)
        }
      }),
      { numRuns: 50 },
    )
  })

  it('[F6] an unknown type is answered, and the id and ref of an unknown one in JSON given back', () => {
    const id = '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55'
    const answer = (value: unknown) => {
      const decoded = json.decodeClientMessage(Buffer.from(JSON.stringify(value)))
      return decoded.ok ? decoded.frames[0] : decoded
    }
    const message = expect.any(String)
    const unsupported = { ok: false, code: 'unsupported', message }
    expect(answer({ type: 'x', id, ref: 'r' })).toEqual({ ...unsupported, id, ref: 'r' })
    expect(answer({ type: 'x', id: 'no id', ref: 7 })).toEqual(unsupported)
    expect(answer({ type: 'x', ref: 'r'.repeat(65) })).toEqual(unsupported)
    for (const type of ['__proto__', 'constructor', 'toString', '', 'Send', 'ack']) {
      expect(answer({ type })).toEqual(unsupported)
    }
    for (const code of [0, -1, 12, 63, 65, 2 ** 40]) {
      const decoded = msgpack.decodeClientMessage(pack([code]))
      expect(decoded).toEqual({ ok: true, frames: [unsupported] })
    }
  })

  it('[F12] keys named like parts of an object end nowhere', () => {
    const text =
      '{"type":"conversation","change":"updated","conversation":"01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55","info":{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}},"list":[{"__proto__":{"admin":true},"n":1}]}}'
    const fromJson = json.decodeServerMessage(Buffer.from(text))
    const packed = Buffer.concat([
      pack([74, 'updated', Buffer.from('01980c364d2e7a619c3b2f6f0c1d7e55', 'hex'), {}]).subarray(
        0,
        -1,
      ),
      Buffer.from('82a95f5f70726f746f5f5f81a561646d696ec3a16e01', 'hex'),
    ])
    for (const decoded of [fromJson, msgpack.decodeServerMessage(packed)]) {
      const frame = decoded.ok && decoded.frames[0]?.ok ? decoded.frames[0].frame : undefined
      const info = (frame as { info?: Record<string, unknown> }).info ?? {}
      expect(Object.getPrototypeOf(info)).toBe(Object.prototype)
      expect(Object.hasOwn(info, '__proto__')).toBe(false)
      expect(Object.assign({}, info)).not.toHaveProperty('admin')
    }
    expect(({} as { admin?: boolean }).admin).toBeUndefined()
  })

  it('[N7] characters are code points, and U+0000 and U+FEFF are characters', () => {
    for (const codec of both) {
      const refOf = (ref: string) =>
        codec.decodeClientMessage(codec.encodeClientFrame({ type: 'ping', ref }))
      for (const ref of [
        '',
        '\u0000',
        '\ufeff'.repeat(limits.refLength),
        '😀'.repeat(limits.refLength),
      ]) {
        expect(refOf(ref)).toEqual(one({ type: 'ping', ref }))
      }
      for (const ref of ['a'.repeat(65), '😀'.repeat(65), `${'😀'.repeat(64)}a`]) {
        expect(refOf(ref)).toMatchObject({ ok: true, frames: [{ ok: false, code: 'invalid' }] })
      }
    }
  })
})
