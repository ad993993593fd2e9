import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createDueList } from './due-list.ts'

const stepMs = 20
const step = fc.oneof(
  fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), inMs: fc.integer({ min: -50, max: 200 }) }),
  fc.record({ waitMs: fc.nat({ max: 100 }), limit: fc.integer({ min: 1, max: 4 }) }),
)

it('gives each key once, at the soonest time added or within a step of it, the longest due first', () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const list = createDueList(stepMs)
      const expected = new Map<string, number>()
      let nowMs = 1_000
      for (const one of steps) {
        if ('key' in one) {
          const atMs = nowMs + one.inMs
          list.add(one.key, atMs)
          expected.set(one.key, Math.min(atMs, expected.get(one.key) ?? atMs))
        } else {
          nowMs += one.waitMs
          const taken = list.take(nowMs, one.limit)
          expect(taken.length).toBeLessThanOrEqual(one.limit)
          const times = taken.map((key) => expected.get(key) as number)
          for (const [i, atMs] of times.entries()) {
            expect(atMs).toBeLessThanOrEqual(nowMs)
            expect(atMs).toBeGreaterThan((times[i - 1] ?? atMs) - stepMs)
          }
          for (const key of taken) expected.delete(key)
          if (taken.length < one.limit) {
            for (const atMs of expected.values()) expect(atMs).toBeGreaterThan(nowMs - stepMs)
          }
        }
        expect(list.size).toBe(expected.size)
        const soonest = Math.min(...expected.values())
        expect(list.soonestMs()).toBeGreaterThanOrEqual(soonest)
        if (soonest < Number.POSITIVE_INFINITY) {
          expect(list.soonestMs()).toBeLessThan(soonest + stepMs)
        }
      }
    }),
  )
})
