import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { comparePositions, isBefore, type Position, startOf } from './position.ts'

const position: fc.Arbitrary<Position> = fc.record({
  epoch: fc.nat(3),
  offset: fc.oneof(fc.nat(3), fc.maxSafeNat()),
  index: fc.nat(3),
})

describe('position', () => {
  it('[R1] [N10] epochs compare first, then offsets, then indices', () => {
    const ordered = [
      { epoch: 1, offset: 0, index: 0 },
      { epoch: 1, offset: 0, index: 9 },
      { epoch: 1, offset: 7, index: 0 },
      { epoch: 2, offset: 0, index: 0 },
      { epoch: 2, offset: 0, index: 1 },
    ]
    for (const [i, a] of ordered.entries()) {
      for (const [j, b] of ordered.entries()) {
        expect(Math.sign(comparePositions(a, b))).toBe(Math.sign(i - j))
        expect(isBefore(a, b)).toBe(i < j)
      }
    }
  })

  it('[R1] [N10] is a total order that begins at the start of a log', () => {
    fc.assert(
      fc.property(position, position, position, (a, b, c) => {
        expect(Math.sign(comparePositions(a, b))).toBe(0 - Math.sign(comparePositions(b, a)))
        expect(comparePositions(a, { ...a })).toBe(0)
        if (isBefore(a, b) && isBefore(b, c)) expect(isBefore(a, c)).toBe(true)
        expect(isBefore(a, startOf(a.epoch))).toBe(false)
      }),
    )
  })
})
