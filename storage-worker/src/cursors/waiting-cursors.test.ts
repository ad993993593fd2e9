import type { Cursor } from '@parley/proto/cursor-records'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { idOf } from '../testing/histories.ts'
import { WaitingCursors } from './waiting-cursors.ts'

const cursor = (user: number, seq: number): Cursor => {
  return { conversation: idOf('c', 1), user: idOf('b', user), seq }
}

describe('waiting cursors', () => {
  it('[G9] of one user in a conversation the greatest waits, in the place of the first', () => {
    const waiting = new WaitingCursors(7)
    waiting.add([cursor(1, 5), cursor(2, 9), cursor(1, 4)], 0)
    waiting.add([cursor(1, 6), cursor(2, 3)], 0)
    expect(waiting.due(0)).toMatchObject([
      { ...cursor(1, 6), offset: 7 },
      { ...cursor(2, 9), offset: 7 },
    ])
    expect([waiting.next, waiting.settledBefore]).toEqual([9, 7])
  })

  it('[G9] a greater position is not given up by what was found of a lesser one', () => {
    const waiting = new WaitingCursors(0)
    waiting.add([cursor(1, 10)], 0)
    const [lesser] = waiting.due(0)
    if (lesser === undefined) throw new Error('not due')
    lesser.outcomeAt = { partition: 0, next: 100 }
    waiting.add([cursor(1, 12)], 5_000)
    expect(waiting.due(5_000)).toMatchObject([
      { ...cursor(1, 12), offset: 0, sinceMs: 5_000, outcomeAt: undefined },
    ])
    waiting.settle(lesser)
    expect(waiting.size).toBe(1)
  })

  it('tries again later and later, up to a second', () => {
    const waiting = new WaitingCursors(0)
    waiting.add([cursor(1, 5)], 100)
    let nowMs = 100
    const waits: number[] = []
    for (let n = 0; n < 9; n++) {
      const [due] = waiting.due(nowMs)
      if (due === undefined) throw new Error('not due')
      waiting.defer(due, nowMs)
      const next = waiting.nextTryMs() ?? 0
      expect(waiting.due(next - 1)).toEqual([])
      waits.push(next - nowMs)
      nowMs = next
    }
    expect(waits).toEqual([20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000])
  })

  it('no record counts as settled while a cursor of it, or a later one of its user, waits', () => {
    const record = fc.array(fc.tuple(fc.nat(4), fc.nat(9)), { maxLength: 4 })
    const step = fc.oneof(
      fc.record({ add: record }),
      fc.record({ settle: fc.nat(10) }),
      fc.record({ defer: fc.nat(10) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const waiting = new WaitingCursors(3)
        /** What a plain list says: the greatest seq settled of each user, and every record. */
        const settled = new Map<string, number>()
        const records: Cursor[][] = []
        for (const [nowMs, s] of steps.entries()) {
          if ('add' in s) {
            const cursors = s.add.map(([user, seq]) => cursor(user, seq))
            waiting.add(cursors, nowMs)
            records.push(cursors)
            // It may come again although a later position is settled; it is settled once more then.
            for (const c of cursors) settled.delete(c.user)
          } else {
            const all = waiting.due(Number.POSITIVE_INFINITY)
            const one = all[('settle' in s ? s.settle : s.defer) % Math.max(1, all.length)]
            if (one === undefined) continue
            if ('settle' in s) {
              settled.set(one.user, Math.max(settled.get(one.user) ?? 0, one.seq))
              waiting.settle(one)
            } else waiting.defer(one, nowMs)
          }
          const before = records.slice(0, waiting.settledBefore - 3)
          const waits = new Set(waiting.due(Number.POSITIVE_INFINITY).map((c) => c.user))
          for (const c of before.flat()) {
            const later = records.slice(before.length).flat()
            const again = later.some((l) => l.user === c.user)
            expect(waits.has(c.user) && !again, 'a record before it waits').toBe(false)
          }
          expect(waiting.next).toBe(3 + records.length)
          if (waiting.size === 0) expect(waiting.settledBefore).toBe(waiting.next)
        }
      }),
      { numRuns: 500 },
    )
  })
})
