import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arbitraryId } from './frame-arbitraries.ts'
import { presenceStates } from './frames.ts'
import { pack } from './pack.ts'
import {
  decodePresence,
  decodeSessionRecord,
  encodePresence,
  encodeSessionRecord,
  type SessionNotice,
  type UserPresence,
} from './session-records.ts'

const notice: fc.Arbitrary<SessionNotice> = fc.record({
  user: arbitraryId(),
  connection: arbitraryId(),
  state: fc.constantFrom('open', 'closed'),
  activeAt: fc.maxSafeNat(),
  at: fc.maxSafeNat(),
})
const presence: fc.Arbitrary<UserPresence> = fc.record(
  { id: arbitraryId(), state: fc.constantFrom(...presenceStates), lastSeen: fc.maxSafeNat() },
  { requiredKeys: ['id', 'state'], noNullPrototype: true },
)

describe('session records', () => {
  it('[D7] any record comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(notice, { maxLength: 20 }), (notices) => {
        expect(decodeSessionRecord(encodeSessionRecord(notices))).toEqual(notices)
      }),
    )
  })

  it('[D7] bytes that are no session record throw', () => {
    for (const value of [null, {}, 7, [1], [[Buffer.alloc(16), Buffer.alloc(2), true, 1, 1]]]) {
      expect(() => decodeSessionRecord(pack(value))).toThrow()
    }
  })

  it('[U2] a presence comes back as it was', () => {
    fc.assert(
      fc.property(presence, (p) => {
        expect(decodePresence(p.id, encodePresence(p))).toEqual(p)
      }),
    )
  })
})
