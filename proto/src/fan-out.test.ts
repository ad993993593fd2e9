import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ConversationPublish,
  type ConversationSignal,
  channels,
  decodeConversationPayload,
  decodeConversationPublish,
  decodeProjected,
  decodeUserNotice,
  encodeConversationPublish,
  encodeConversationSignal,
  encodeProjected,
  encodeUserNotice,
  type UserNotice,
} from './fan-out.ts'
import { arbitraryId } from './frame-arbitraries.ts'
import { pack } from './pack.ts'

const id = arbitraryId()
const seq = fc.maxSafeNat()
const someSeq = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
const publish: fc.Arbitrary<ConversationPublish> = fc.record(
  {
    firstSeq: seq,
    frames: fc.array(
      fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b)),
      { maxLength: 5 },
    ),
    removed: fc.array(fc.record({ seq, user: id }), { maxLength: 3 }),
    joined: someSeq,
    updated: someSeq,
  },
  { requiredKeys: ['firstSeq', 'frames', 'removed'], noNullPrototype: true },
)
const notice = fc.oneof(
  fc.record({ type: fc.constant('added'), conversation: id, seq, from: seq }),
  fc.record({ type: fc.constantFrom('removed', 'updated'), conversation: id, seq }),
  fc.record(
    { type: fc.constant('revoked'), session: id },
    { requiredKeys: ['type'], noNullPrototype: true },
  ),
  fc.record(
    { type: fc.constant('read'), conversation: id, seq, origin: id },
    { requiredKeys: ['type', 'conversation', 'seq'], noNullPrototype: true },
  ),
) as fc.Arbitrary<UserNotice>

const signal: fc.Arbitrary<ConversationSignal> = fc.oneof(
  fc.record({ type: fc.constant('typing' as const), user: id, active: fc.boolean(), origin: id }),
  fc.record({ type: fc.constant('read' as const), user: id, seq }),
)

describe('fan-out', () => {
  it('[U1] channels are named by what they are about', () => {
    const conversation = '01980c37-0b7c-7f5d-a1c4-93e8d5b62f07'
    expect(channels.conversation(conversation)).toBe(`conversation:${conversation}`)
    expect(channels.user(conversation)).toBe(`user:${conversation}`)
    expect(channels.presence(conversation)).toBe(`presence:${conversation}`)
    expect(channels.projected(3)).toBe('projected:3')
  })

  it('[U2] whatever is published comes back as it was', () => {
    fc.assert(
      fc.property(publish, (p) => {
        expect(decodeConversationPublish(encodeConversationPublish(p))).toEqual(p)
      }),
    )
    fc.assert(
      fc.property(notice, (n) => {
        expect(decodeUserNotice(encodeUserNotice(n))).toEqual(n)
      }),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(id, seq), { maxLength: 9 }), (heads) => {
        const map = new Map(heads)
        expect(decodeProjected(encodeProjected(map))).toEqual(map)
      }),
    )
  })

  it('[U2] signals come back as they were and are told from events', () => {
    fc.assert(
      fc.property(signal, (given) => {
        const payload = encodeConversationSignal(given)
        expect(decodeConversationPayload(payload)).toEqual(given)
        expect(() => decodeConversationPublish(payload)).toThrow()
      }),
    )
    fc.assert(
      fc.property(publish, (p) => {
        const payload = encodeConversationPublish(p)
        expect(decodeConversationPayload(payload)).toEqual({ type: 'events', ...p })
      }),
    )
  })

  it('[U2] an unknown payload or notice throws', () => {
    for (const payload of [[], ['a', []], [-9, []], [5], [5, 'frames'], {}]) {
      expect(() => decodeConversationPublish(pack(payload))).toThrow()
    }
    expect(() => decodeUserNotice(pack([9, Buffer.alloc(16), 1]))).toThrow()
  })
})
