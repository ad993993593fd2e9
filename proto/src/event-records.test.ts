import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeEventRecord, type EventRecord, encodeEventRecord } from './event-records.ts'
import { histories } from './frames.ts'
import { pack } from './pack.ts'

const bytes = fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.from(b))
const record: fc.Arbitrary<EventRecord> = fc.record({
  upTo: fc.record({ offset: fc.maxSafeNat(), index: fc.nat() }),
  events: fc.array(
    fc.record(
      {
        offset: fc.maxSafeNat(),
        index: fc.nat(),
        hash: bytes,
        frame: bytes,
        history: fc.constantFrom(...histories),
      },
      { requiredKeys: ['offset', 'index', 'hash', 'frame'], noNullPrototype: true },
    ),
    { maxLength: 20 },
  ),
})

describe('event records', () => {
  it('[D4] any record comes back as it was, the empty one too', () => {
    fc.assert(
      fc.property(record, (r) => {
        expect(decodeEventRecord(encodeEventRecord(r))).toEqual(r)
      }),
    )
    const empty = { upTo: { offset: 7, index: 0 }, events: [] }
    expect(decodeEventRecord(encodeEventRecord(empty))).toEqual(empty)
  })

  it('[D4] bytes that are no event record throw', () => {
    for (const value of [null, [], [1, 2], [1, 'a', []], [1.5, 0, []], [-1, {}, []], { a: 1 }]) {
      expect(() => decodeEventRecord(pack(value))).toThrow()
    }
    const whole = encodeEventRecord({ upTo: { offset: 1, index: 1 }, events: [] })
    expect(() => decodeEventRecord(whole.subarray(0, 2))).toThrow()
  })
})
