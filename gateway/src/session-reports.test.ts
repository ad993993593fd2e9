import type { Log } from '@parley/platform/ports/log'
import { newId } from '@parley/proto/ids'
import { partitionOf } from '@parley/proto/partition'
import { recordSchema, topics } from '@parley/proto/record-headers'
import { decodeSessionRecord, type SessionNotice } from '@parley/proto/session-records'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createSessionReports, type SessionReports } from './session-reports.ts'

const appended: { partition: number; notices: SessionNotice[] }[] = []
const log = { away: false, held: Promise.resolve(), inFlight: 0, mostInFlight: 0 }
const warnings: unknown[] = []
let now = 1_000_000
let reports: SessionReports

const fake: Pick<Log, 'partitions' | 'append'> = {
  partitions: () => 2,
  async append(topic, partition, [record]) {
    expect(topic).toBe(topics.sessions)
    expect(record?.headers.schema).toBe(recordSchema)
    log.inFlight += 1
    log.mostInFlight = Math.max(log.mostInFlight, log.inFlight)
    await log.held
    log.inFlight -= 1
    if (log.away) throw new Error('the log is away')
    appended.push({ partition, notices: decodeSessionRecord(record?.value as Uint8Array) })
    return { offset: 0 }
  },
}

beforeEach(() => {
  vi.useFakeTimers()
  appended.length = 0
  warnings.length = 0
  Object.assign(log, { away: false, held: Promise.resolve(), inFlight: 0, mostInFlight: 0 })
  now = 1_000_000
  reports = createSessionReports({
    log: fake,
    logger: { warn: (...args: unknown[]) => void warnings.push(args) } as never,
    metrics: { signalDropped() {} } as never,
    now: () => now,
    gatherMs: 100,
  })
})
afterEach(() => {
  reports.stop()
  vi.useRealTimers()
})
const connections = (count: number, user = newId()) =>
  Array.from({ length: count }, () => {
    const id = newId()
    reports.opened(id, user)
    return id
  })
const told = () => appended.flatMap(({ notices }) => notices)

test('[D7] those of a moment leave as one record, in the partition of their users', async () => {
  const user = newId()
  const ids = connections(50, user)
  expect(appended).toEqual([])
  await vi.advanceTimersByTimeAsync(100)
  expect(appended).toHaveLength(1)
  expect(appended[0]?.partition).toBe(partitionOf(user, 2))
  expect(told().map(({ connection }) => connection)).toEqual(ids)
})

test('the newest of a connection alone is told', async () => {
  const [id] = connections(1)
  reports.closed(id as string)
  await vi.advanceTimersByTimeAsync(100)
  expect(told()).toMatchObject([{ connection: id, state: 'closed' }])
})

test('one append of a partition is in flight; what comes meanwhile is in the next', async () => {
  let release = () => {}
  log.held = new Promise((resolve) => {
    release = resolve
  })
  const user = newId()
  connections(1, user)
  await vi.advanceTimersByTimeAsync(100)
  for (let i = 0; i < 5; i++) {
    connections(1, user)
    await vi.advanceTimersByTimeAsync(100)
  }
  expect(log.mostInFlight).toBe(1)
  release()
  await vi.advanceTimersByTimeAsync(200)
  expect(appended.map(({ notices }) => notices.length)).toEqual([1, 5])
  expect(log.mostInFlight).toBe(1)
})

test('what the log did not take is told again, or what is newer instead', async () => {
  log.away = true
  const user = newId()
  const [stays, closes] = connections(2, user)
  await vi.advanceTimersByTimeAsync(3_000)
  expect(warnings.length).toBeGreaterThan(0)
  reports.closed(closes as string)
  log.away = false
  await vi.advanceTimersByTimeAsync(6_000)
  expect(told().filter(({ connection }) => connection === closes)).toMatchObject([
    { state: 'closed' },
  ])
  expect(told().filter(({ connection }) => connection === stays)).toMatchObject([{ state: 'open' }])
})

test('a renewal of all is one record of bounded size after the other', async () => {
  connections(12_000, newId())
  await vi.advanceTimersByTimeAsync(1_000)
  expect(appended.map(({ notices }) => notices.length)).toEqual([5_000, 5_000, 2_000])
  now += 15_000
  reports.tick()
  await vi.advanceTimersByTimeAsync(1_000)
  expect(told()).toHaveLength(24_000)
})

test('flushed waits for all that was said', async () => {
  const ids = connections(20)
  for (const id of ids) reports.closed(id)
  const flushed = reports.flushed()
  await vi.advanceTimersByTimeAsync(0)
  await flushed
  expect(told().map(({ state }) => state)).toEqual(Array(20).fill('closed'))
})
