import { randomBytes } from 'node:crypto'
import { newId } from '@parley/proto/ids'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decideRefresh, makeRefreshToken, readRefreshToken, repeatMs } from './refresh-tokens.ts'

const key = randomBytes(32)

test('a token reads back as what it was made of, under its key alone', () => {
  fc.assert(
    fc.property(fc.nat(0xffff_ffff), (number) => {
      const claim = { session: newId(), number }
      const token = makeRefreshToken(key, claim)
      expect(readRefreshToken(key, token)).toEqual(claim)
      expect(readRefreshToken(randomBytes(32), token)).toBeUndefined()
    }),
  )
})

test('a token changed in any character, cut or lengthened is none', () => {
  const token = makeRefreshToken(key, { session: newId(), number: 7 })
  for (let i = 0; i < token.length - 1; i++) {
    const other = token[i] === 'A' ? 'B' : 'A'
    expect(readRefreshToken(key, token.slice(0, i) + other + token.slice(i + 1))).toBeUndefined()
  }
  for (const wrong of ['', 'prt1.', token.slice(1), token.slice(0, -1), `${token}A`, `${token}=`]) {
    expect(readRefreshToken(key, wrong)).toBeUndefined()
  }
})

test('the latest rotates; the one before repeats for 30 s; all older ones are reuse', () => {
  const at = (presented: number, ageMs: number, live = true) =>
    decideRefresh({ live, number: 5, ageMs }, presented)
  expect(at(5, 0)).toBe('rotate')
  expect(at(5, 10 * repeatMs)).toBe('rotate')
  expect(at(4, 0)).toBe('repeat')
  expect(at(4, repeatMs - 1)).toBe('repeat')
  expect(at(4, repeatMs)).toBe('reused')
  expect(at(3, 0)).toBe('reused')
  expect(at(0, 0)).toBe('reused')
  expect(at(6, 0)).toBe('refuse')
  expect(at(5, 0, false)).toBe('refuse')
  expect(at(4, 0, false)).toBe('refuse')
})
