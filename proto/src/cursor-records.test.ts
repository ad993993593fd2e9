import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeCursorRecord, encodeCursorRecord } from './cursor-records.ts'
import { arbitraryId } from './frame-arbitraries.ts'
import { pack } from './pack.ts'

const cursor = fc.record(
  {
    conversation: arbitraryId(),
    user: arbitraryId(),
    seq: fc.maxSafeNat(),
    head: fc.maxSafeNat(),
  },
  { requiredKeys: ['conversation', 'user', 'seq'] },
)

describe('cursor records', () => {
  it('[D6] any record comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(cursor, { maxLength: 20 }), (cursors) => {
        expect(decodeCursorRecord(encodeCursorRecord(cursors))).toEqual(cursors)
      }),
    )
  })

  it('[D6] bytes that are no cursor record throw', () => {
    const id = Buffer.alloc(16)
    for (const value of [
      null,
      {},
      7,
      [1],
      [[id, id]],
      [[id, id, 'a']],
      [[id, id, 1, 'a']],
      [[id, id.subarray(1), 1]],
    ]) {
      expect(() => decodeCursorRecord(pack(value))).toThrow()
    }
  })
})
