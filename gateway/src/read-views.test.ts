import { newId } from '@parley/proto/ids'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Connection } from './connection.ts'
import { memberCountAfter, shownUpToMembers } from './member-count.ts'
import { ReadBatch } from './read-batch.ts'
import { ReadViews } from './read-views.ts'
import { WaitingOks } from './waiting-oks.ts'

const names = ['ann', 'ben', 'cat']
const conversations = ['c', 'd']

test('[G9] any positions, in any order, in any batches: what is written and shown only rises, to the greatest', () => {
  const read = fc.record({
    conversation: fc.constantFrom(...conversations),
    user: fc.constantFrom(...names),
    seq: fc.integer({ min: 1, max: 20 }),
  })
  const step = fc.oneof(
    { weight: 4, arbitrary: read },
    { weight: 1, arbitrary: fc.constant('flush' as const) },
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const batch = new ReadBatch<number>()
      const views = new ReadViews()
      const greatest = new Map<string, number>()
      const shown = new Map<string, number>()
      const answered: number[] = []
      let asked = 0
      const flush = () => {
        for (const { conversation, user, seq, origin, answers } of batch.take()) {
          answered.push(...answers)
          expect(origin, 'it came from who said it').toBe(`${user}${seq}`)
          if (!views.advance(conversation, user, seq)) continue
          expect(seq).toBeGreaterThan(shown.get(conversation + user) ?? 0)
          shown.set(conversation + user, seq)
        }
      }
      for (const one of steps) {
        if (one === 'flush') {
          flush()
          continue
        }
        const key = one.conversation + one.user
        greatest.set(key, Math.max(one.seq, greatest.get(key) ?? 0))
        batch.put(one, `${one.user}${one.seq}`, asked)
        asked += 1
      }
      flush()
      expect(shown).toEqual(greatest)
      expect(batch.size).toBe(0)
      expect(
        answered.toSorted((a, b) => a - b),
        'each is answered once',
      ).toEqual(Array.from({ length: asked }, (_, i) => i))
    }),
  )
})

test('[G8] positions shown are remembered for a bounded number of users', () => {
  const views = new ReadViews(2)
  for (const user of names) views.advance('c', user, 5)
  expect(views.advance('c', 'cat', 4)).toBe(false)
  expect(views.advance('c', 'ben', 4)).toBe(false)
  views.forget('c')
  expect(views.advance('c', 'cat', 4)).toBe(true)
})

describe('an ok that waits', () => {
  function waiting() {
    const sent: unknown[] = []
    const codec = { encodeServerFrame: (frame: unknown) => frame }
    const out = { codec, closed: false, answer: (frame: unknown) => void sent.push(frame) }
    const connection = { id: newId(), open: true, out } as unknown as Connection
    const oks = new WaitingOks({ perConnection: 2, timeoutMs: 1_000 })
    return { oks, connection, sent }
  }

  test('is given once, when what it waits for is durable', () => {
    const { oks, connection, sent } = waiting()
    const ok = oks.add(connection, 'r', 0)
    expect(ok).not.toBeNull()
    if (ok === null) return
    oks.settle(ok, { ok: true })
    oks.settle(ok, { ok: true })
    oks.expire(9_999)
    expect(sent).toEqual([{ type: 'ok', ref: 'r' }])
  })

  test('[G8] [L2] is refused after its time, and again when there are too many', () => {
    const { oks, connection, sent } = waiting()
    oks.add(connection, 'first', 0)
    oks.add(connection, 'second', 500)
    expect(oks.add(connection, 'third', 500)).toBeNull()
    oks.expire(1_000)
    expect(sent).toMatchObject([{ code: 'unavailable', ref: 'first' }])
    expect(oks.add(connection, 'third', 1_000)).not.toBeNull()
  })

  test('is given to nobody who has gone', () => {
    const { oks, connection, sent } = waiting()
    oks.add(connection, 'r', 0)
    connection.open = false
    oks.expire(9_999)
    expect(sent).toEqual([])
  })
})

test('[P4] the number of members is followed exactly, or known not to be known', () => {
  const change = fc.record({
    joins: fc.nat(3),
    leaves: fc.nat(3),
    lost: fc.boolean(),
    asked: fc.boolean(),
  })
  fc.assert(
    fc.property(
      fc.integer({ min: 80, max: 110 }),
      fc.array(change, { maxLength: 20 }),
      (start, changes) => {
        let members = start
        let head = 1
        let count: number | null = members
        for (const { joins, leaves, lost, asked } of changes) {
          const left = Math.min(leaves, members)
          const first = head + 1
          const events = left + (joins > 0 ? 1 : 0) + 1
          const removed = Array.from({ length: left }, (_, i) => ({
            seq: first + i,
            user: newId(),
          }))
          const joined = joins > 0 ? first + left : 0
          members += joins - left
          const frames = Array.from({ length: events }, () => new Uint8Array())
          const run = { first, frames, removed, joined, updated: 0 }
          if (lost) count = memberCountAfter(count, { ...run, first: first + 1 }, head)
          else count = memberCountAfter(count, run, head)
          head = first + events - 1
          if (asked) count = members
          // Above the bound it is no more than a least number.
          if (count === null) continue
          if (count > shownUpToMembers) expect(members).toBeGreaterThanOrEqual(count)
          else expect(count).toBe(members)
        }
      },
    ),
    { numRuns: 1_000 },
  )
})
