import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arbitraryId } from './frame-arbitraries.ts'
import { directConversationId, formatId, idTime, idVersion, isId, newId, parseId } from './ids.ts'

const ada = '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55'
const bob = '01980c36-51aa-7d04-8f2e-6b0a94c3d218'
const eve = '01980c37-0b7c-7f5d-a1c4-93e8d5b62f07'
const last = 'ffffffff-ffff-7fff-bfff-ffffffffffff'
const first = '00000000-0000-7000-8000-000000000000'

describe('ids', () => {
  it('[N1] are lower-case UUIDs of versions 1 to 8 and the RFC 9562 variant, and nothing else', () => {
    for (const version of [1, 2, 3, 4, 5, 6, 7, 8]) {
      fc.assert(fc.property(arbitraryId(version), (id) => isId(id) && idVersion(id) === version))
    }
    const others: unknown[] = [
      ada.toUpperCase(),
      `{${ada}}`,
      `${ada}\n`,
      ` ${ada}`,
      ada.replaceAll('-', ''),
      ada.slice(1),
      '01980c36-4d2e-0a61-9c3b-2f6f0c1d7e55',
      '01980c36-4d2e-9a61-9c3b-2f6f0c1d7e55',
      '01980c36-4d2e-7a61-7c3b-2f6f0c1d7e55',
      '01980c36-4d2e-7a61-cc3b-2f6f0c1d7e55',
      '00000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      '',
      null,
      undefined,
      7,
      [ada],
      parseId(ada),
    ]
    for (const other of others) expect(isId(other), String(other)).toBe(false)
  })

  it('[N1] are the same as text and as 16 bytes', () => {
    expect([...parseId(ada)].map((byte) => byte.toString(16).padStart(2, '0')).join('')).toBe(
      ada.replaceAll('-', ''),
    )
    fc.assert(
      fc.property(arbitraryId(), (id) => {
        expect(parseId(id)).toEqual(Buffer.from(id.replaceAll('-', ''), 'hex'))
        expect(formatId(parseId(id))).toBe(id)
      }),
    )
    expect(formatId(new Uint8Array(16).fill(0xff))).toBe('ffffffff-ffff-ffff-ffff-ffffffffffff')
    for (const length of [0, 15, 17]) {
      expect(() => formatId(new Uint8Array(length))).toThrow(RangeError)
    }
  })

  it('[N2] of version 7 hold their time, others none', () => {
    expect(idTime(ada)).toBe(1_752_551_542_062)
    expect(idTime(last)).toBe(2 ** 48 - 1)
    expect(idTime(first)).toBe(0)
    expect(idTime('22b4c41b-1b7e-8c52-9750-407d9baafe99')).toBeNaN()
  })

  it('[N3] of direct conversations are those that an independent program computes', () => {
    const vectors = [
      [ada, bob, '22b4c41b-1b7e-8c52-9750-407d9baafe99'],
      [bob, eve, 'dd78171c-2fd2-8946-9c46-7404f189bd12'],
      [eve, last, '72deafc9-0afb-8dd9-adf3-cbf62704eccd'],
      [last, first, '788420ea-8ab2-87b7-9521-955089d4d772'],
      [ada, ada, '7af49922-6fb1-8780-9b3e-11ddf4f970be'],
    ] as const
    for (const [a, b, id] of vectors) {
      expect(directConversationId(a, b)).toBe(id)
      expect(directConversationId(b, a)).toBe(id)
    }
    fc.assert(
      fc.property(arbitraryId(7), arbitraryId(7), (a, b) => {
        const id = directConversationId(a, b)
        expect(isId(id) && idVersion(id) === 8).toBe(true)
      }),
    )
  })

  it('[N4] made by us are of version 7, of the given time, all different, and in order within a millisecond', () => {
    const nowMs = 1_700_000_000_123
    const made = Array.from({ length: 1_000 }, () => newId(nowMs))
    expect(made.every((id) => isId(id) && idVersion(id) === 7)).toBe(true)
    expect(new Set(made.map(idTime))).toEqual(new Set([nowMs]))
    expect(new Set(made).size).toBe(made.length)
    expect(made.toSorted()).toEqual(made)
    expect(idTime(newId(nowMs - 5))).toBe(nowMs - 5)
    expect(idTime(newId(2 ** 48 - 2))).toBe(2 ** 48 - 2)
  })
})
