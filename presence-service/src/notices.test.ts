import { createMemoryPresenceStore } from '@parley/platform/memory/presence-store'
import type { LogRecord } from '@parley/platform/ports/log'
import { newId } from '@parley/proto/ids'
import { pack } from '@parley/proto/pack'
import { recordSchema } from '@parley/proto/record-headers'
import {
  encodeSessionRecord,
  presenceTimes,
  type SessionNotice,
} from '@parley/proto/session-records'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isStale, latestOf, RecordUnusable, readNotices, ttlOf } from './notices.ts'

const epoch = newId()
const place = { partition: 'sessions/0', next: 7, epoch }
const notice: SessionNotice = {
  user: newId(),
  connection: newId(),
  state: 'open',
  activeAt: 5,
  at: 9,
}

function record(change: Partial<LogRecord> = {}): LogRecord {
  const headers = { schema: recordSchema, epoch }
  return { offset: 7, headers, value: encodeSessionRecord([notice]), ...change }
}

it('reads the notices of records in order', () => {
  const later = { ...notice, at: 10 }
  const records = [record(), record({ offset: 8, value: encodeSessionRecord([later, notice]) })]
  expect(readNotices(records, place)).toEqual([notice, later, notice])
  expect(readNotices([], place)).toEqual([])
})

it.each([
  ['an offset that is not the next', record({ offset: 8 })],
  ['another schema', record({ headers: { schema: '2', epoch } })],
  ['another log', record({ headers: { schema: recordSchema, epoch: newId() } })],
  ['no MessagePack', record({ value: Buffer.of(0xc1) })],
  ['an empty value', record({ value: Buffer.alloc(0) })],
  ['no list', record({ value: pack({ user: notice.user }) })],
  ['a list of something else', record({ value: pack([1, 2]) })],
  ['a user that is no id', record({ value: pack([['x', Buffer.alloc(16), true, 1, 1]]) })],
  [
    'an id of 16 characters',
    record({ value: pack([['-'.repeat(16), 'x'.repeat(16), true, 1, 1]]) }),
  ],
  ['a time that is none', record({ value: encodeSessionRecord([{ ...notice, at: Number.NaN }]) })],
  ['a time before 1970', record({ value: encodeSessionRecord([{ ...notice, activeAt: -1 }]) })],
])('[R15] a record with %s stops the partition', (_, bad) => {
  expect(() => readNotices([bad], place)).toThrow(RecordUnusable)
  expect(() => readNotices([bad], place)).toThrow(/^sessions\/0: the record at \d+ /)
})

it('[P2] a notice counts for what is left of its lease, to the next second, and then not any more', () => {
  const { leaseMs } = presenceTimes
  fc.assert(
    fc.property(fc.integer({ min: -5_000, max: 2 * leaseMs }), (ageMs) => {
      const nowMs = 1_000_000
      const said = { ...notice, at: nowMs - ageMs }
      expect(isStale(said, nowMs)).toBe(ageMs >= leaseMs)
      if (ageMs >= leaseMs) return
      const endsMs = nowMs + ttlOf(said, nowMs)
      expect(endsMs).toBeGreaterThanOrEqual(Math.min(said.at, nowMs) + leaseMs)
      expect(endsMs).toBeLessThan(Math.min(said.at, nowMs) + leaseMs + 1_000)
    }),
  )
})

const [user, ...connections] = Array.from({ length: 4 }, () => newId()) as [string, ...string[]]
const said = fc.record({
  user: fc.constant(user),
  connection: fc.constantFrom(...connections),
  state: fc.constantFrom('open' as const, 'closed' as const),
  activeAt: fc.nat({ max: 20 }),
  at: fc.nat({ max: 6 }),
})

it('[PS2] who is there after the latest notices alone is who is there after all of them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(said, { maxLength: 12 }), async (notices) => {
      const [all, latest] = [
        createMemoryPresenceStore({ shards: 1 }),
        createMemoryPresenceStore({ shards: 1 }),
      ]
      for (const [store, some] of [
        [all, notices],
        [latest, latestOf(notices)],
      ] as const) {
        for (const one of some) {
          await (one.state === 'open' ? store.hold([one], 60_000) : store.release([one]))
        }
      }
      const [[whole], [short]] = await Promise.all([all.read([user]), latest.read([user])])
      expect(short?.activeAt).toBe(whole?.activeAt)
    }),
  )
})
