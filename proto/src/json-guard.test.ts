import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { guardJson } from './json-guard.ts'
import { limits } from './limits.ts'

const guard = (text: string) => guardJson(Buffer.from(text))
const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}
function valuesIn(value: unknown): number {
  if (Array.isArray(value)) return 1 + value.reduce((sum: number, one) => sum + valuesIn(one), 0)
  if (typeof value !== 'object' || value === null) return 1
  return 1 + Object.values(value).reduce((sum: number, one) => sum + 1 + valuesIn(one), 0)
}

describe('guard of JSON', () => {
  it('[J3] refuses what is no UTF-8', () => {
    for (const digits of ['ff', '22c022', '22eda0bd22', '22f490808022']) {
      const guarded = guardJson(Buffer.from(digits, 'hex'))
      expect(guarded).toMatchObject({ ok: false, code: 'bad_frame' })
    }
    expect(guard('"é漢😀"')).toEqual({ ok: true })
  })

  it('[F9] passes 16 levels and refuses 17, not counting the batch around a frame', () => {
    expect(guard(`{"x":${nested(15)}}`).ok).toBe(true)
    expect(guard(`{"x":${nested(16)}}`).ok).toBe(false)
    expect(guard(`[{"x":${nested(15)}}]`).ok).toBe(true)
    expect(guard(`[{"x":${nested(16)}}]`).ok).toBe(false)
    expect(guard('['.repeat(60_000)).ok).toBe(false)
    expect(guard('{"x":'.repeat(10_000)).ok).toBe(false)
  })

  it('[F9] does not take brackets in strings for levels', () => {
    const brackets = JSON.stringify(`${'[{'.repeat(50)}\\"[[[\\\\`)
    expect(guard(`{${brackets}:${brackets}}`)).toEqual({ ok: true })
    expect(guard(`{"a\\\\":${nested(16)}}`).ok).toBe(false)
  })

  it('[F9] counts as a parser would', () => {
    const wrap = fc.constantFrom(
      (inner: unknown) => [inner],
      (inner: unknown) => [0, inner, '[{'],
      (inner: unknown) => ({ ']}': inner, after: [] }),
    )
    fc.assert(
      fc.property(
        fc.array(wrap, { maxLength: 24 }),
        fc.jsonValue({ maxDepth: 2 }),
        (wraps, core) => {
          const value = wraps.reduce((inner: unknown, around) => around(inner), core)
          const levels = Array.isArray(value) ? limits.nesting + 1 : limits.nesting
          expect(guard(JSON.stringify(value)).ok).toBe(depthOf(value) <= levels)
        },
      ),
    )
  })

  it('[F10] refuses more than 16,384 values', () => {
    const values = (count: number) => JSON.stringify(new Array(count).fill(0))
    expect(guard(values(limits.elements - 2)).ok).toBe(true)
    expect(guard(values(limits.elements + 1)).ok).toBe(false)
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.nat(40), (value, max) => {
        // An empty container counts one value more than it has.
        const passed = guardJson(Buffer.from(JSON.stringify(value)), max).ok
        if (passed) expect(valuesIn(value)).toBeLessThanOrEqual(max + 1)
      }),
    )
  })
})
