import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeEventFrame,
  encodeEventFrame,
  eventKindCodes,
  eventKindOf,
  readEventFrame,
  writeEventFrame,
} from './event-frame.ts'
import { arbitraryEvent as event } from './frame-arbitraries.ts'
import { eventKinds } from './frames.ts'
import { parseId } from './ids.ts'
import { pack, unpack, whole } from './pack.ts'

describe('event frame', () => {
  it('[M1] is the array of PROTOCOL.md, trailing absent fields left out', () => {
    const ids = {
      conversation: '11111111-1111-4111-8111-111111111111',
      id: '22222222-2222-7222-8222-222222222222',
      sender: '33333333-3333-7333-8333-333333333333',
      target: '44444444-4444-7444-8444-444444444444',
    }
    const first = [67, parseId(ids.conversation), 5, parseId(ids.id)]
    const last = [parseId(ids.sender), whole(1_700_000_000_000)]
    const base = { type: 'event' as const, ...ids, seq: 5, at: 1_700_000_000_000 }
    const { target, ...withoutTarget } = base
    expect(encodeEventFrame({ ...withoutTarget, kind: 'message', body: { text: 'é' } })).toEqual(
      pack([...first, 'message', ...last, { text: 'é' }]),
    )
    expect(encodeEventFrame({ ...base, kind: 'delete' })).toEqual(
      pack([...first, 'delete', ...last, null, parseId(target)]),
    )
    expect(encodeEventFrame({ ...withoutTarget, kind: 'left' })).toEqual(
      pack([...first, 'left', ...last]),
    )
  })

  it('[M12] [D5] any event comes back as it was, and its parts make the same bytes again', () => {
    fc.assert(
      fc.property(event, (e) => {
        const bytes = encodeEventFrame(e)
        expect(decodeEventFrame(bytes)).toEqual(e)
        const raw = readEventFrame(bytes)
        expect(writeEventFrame(raw)).toEqual(bytes)
        expect(raw.body === null ? undefined : unpack(raw.body)).toEqual(e.body)
        if (e.body !== undefined) expect(Buffer.from(raw.body ?? [])).toEqual(pack(e.body))
      }),
    )
  })

  it('reads frames that begin inside another buffer', () => {
    fc.assert(
      fc.property(event, fc.nat(40), (e, before) => {
        const bytes = encodeEventFrame(e)
        const whole = Buffer.alloc(before + bytes.length + 3, 0xc1)
        whole.set(bytes, before)
        expect(decodeEventFrame(whole.subarray(before, before + bytes.length))).toEqual(e)
      }),
    )
  })

  it('throws on every frame cut short before its body, and on other frames', () => {
    fc.assert(
      fc.property(event, fc.nat(), (e, cut) => {
        const bare = { ...e }
        delete bare.body
        const bytes = encodeEventFrame(bare)
        expect(() => readEventFrame(bytes.subarray(0, cut % bytes.length))).toThrow()
      }),
    )
    const strange: unknown[] = [
      [65, parseId('11111111-1111-4111-8111-111111111111'), 1],
      [],
      { a: 1 },
      [67, 'text'],
      [67, Buffer.alloc(16), -1, Buffer.alloc(16), 'message', Buffer.alloc(16), 1],
      [67, Buffer.alloc(16), 1.5, Buffer.alloc(16), 'message', Buffer.alloc(16), 1],
      [67, Buffer.alloc(16), 1, Buffer.alloc(15), 'message', Buffer.alloc(16), 1],
      [67, Buffer.alloc(16), 1, Buffer.alloc(16), 'unheard', Buffer.alloc(16), 1],
    ]
    for (const frame of strange) expect(() => readEventFrame(pack(frame))).toThrow()
  })

  it('gives every kind a number of its own', () => {
    expect(new Set(Object.values(eventKindCodes)).size).toBe(eventKinds.length)
    for (const kind of eventKinds) expect(eventKindOf(eventKindCodes[kind])).toBe(kind)
    expect(() => eventKindOf(0)).toThrow()
  })
})
