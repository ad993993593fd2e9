import { createMemoryBus } from '@parley/platform/memory/bus'
import { type Database, DatabaseUnavailable } from '@parley/platform/ports/database'
import type { Log } from '@parley/platform/ports/log'
import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import { createLogger } from '@parley/platform/process/logs'
import { createMetrics, type Metrics } from '@parley/platform/process/metrics'
import { type Cursor, encodeCursorRecord } from '@parley/proto/cursor-records'
import type { Event, EventBody, EventKind } from '@parley/proto/frames'
import { partitionOf } from '@parley/proto/partition'
import { recordSchema, topics } from '@parley/proto/record-headers'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createStorageWorker, type StorageWorker } from '../create.ts'
import { claimEpoch } from '../epochs.ts'
import { migrate } from '../migrations/migrate.ts'
import { defaultSettings, type StorageWorkerSettings } from '../settings.ts'
import { createStorageMetrics } from '../storage-metrics.ts'
import { entryFor, idOf, recordOf } from '../testing/histories.ts'
import { emptyDatabase, readTables } from '../testing/read-tables.ts'
import { openTestLog, type TestLog } from '../testing/test-log.ts'
import { consumeCursors } from './consumer.ts'

const partitions = 2
const [ada, bob, eve] = [idOf('b', 1), idOf('b', 2), idOf('b', 3)]
/** Of one partition, so that one can't be taken for the other. */
const [first, second] = sameHome(2) as [string, string]
const home = partitionOf(first, partitions)
const logger = createLogger({ name: 'test', level: 'silent' })

let test: TestDatabase
let opened: TestLog
let log: Log
let epoch: number
let metrics: Metrics
let stops: (() => Promise<void>)[]
let heads: Map<string, number>
beforeAll(async () => {
  test = await openTestDatabase()
  await migrate(test.db)
}, 60_000)
afterAll(() => test.close())
beforeEach(async () => {
  opened = await openTestLog(partitions)
  log = opened.log
  stops = []
  heads = new Map()
  await emptyDatabase(test.db, { number: 1, id: log.epoch, partitions })
  epoch = await claimEpoch(test.db, log)
})
afterEach(async () => {
  for (const stop of stops.toReversed()) await stop()
  await opened.close()
})

function sameHome(count: number): string[] {
  const ids = Array.from({ length: 20 }, (_, n) => idOf('c', n))
  return ids.filter((id) => partitionOf(id, partitions) === 0).slice(0, count)
}

const quick: Partial<StorageWorkerSettings> = {
  ...{ retryMinMs: 1, retryMaxMs: 10, reportIntervalMs: 10, trimIntervalMs: 0, cursorWaitMs: 100 },
}

async function startWorker(
  settings: Partial<StorageWorkerSettings> = {},
  db: Database = test.db,
): Promise<StorageWorker> {
  metrics = createMetrics()
  const bus = createMemoryBus()
  const parts = { log, db, bus, epoch, logger, metrics }
  const worker = createStorageWorker({ ...quick, ...settings }, parts)
  stops.push(() => worker.stop().then(() => bus.close()))
  await worker.start()
  return worker
}

/** Applies cursors, and projects nothing. */
async function startCursorsAlone(settings: Partial<StorageWorkerSettings> = {}): Promise<void> {
  metrics = createMetrics()
  const consumer = await consumeCursors(
    { log, db: test.db, epoch, logger, metrics: createStorageMetrics(metrics) },
    { ...defaultSettings, ...quick, ...settings },
  )
  stops.push(() => consumer.close())
}

interface Said {
  kind: EventKind
  sender?: string
  body?: EventBody
}
const created = (...users: string[]): Said => ({ kind: 'created', body: { kind: 'group', users } })
const says: Said = { kind: 'message', body: { text: 'x' } }
const joins = (user: string): Said => ({ kind: 'joined', body: { users: [user] } })
const titled: Said = { kind: 'updated', body: { title: 'x' } }
const leaves = (user: string): Said => ({ kind: 'left', body: { users: [user] } })

/** The next events of a conversation, as one record of the events log. */
async function happens(conversation: string, ...said: Said[]): Promise<void> {
  const entries = said.map(({ kind, sender = ada, body }) => {
    const seq = (heads.get(conversation) ?? 0) + 1
    heads.set(conversation, seq)
    const base = { type: 'event' as const, conversation, seq, id: idOf('a', seq), kind, sender }
    const event: Event = { ...base, at: seq, ...(body === undefined ? {} : { body }) }
    const entry = entryFor(event, { offset: seq, index: 0 })
    return kind === 'created' ? { ...entry, history: 'all' as const } : entry
  })
  const { value } = recordOf(0, { offset: 0, index: 0 }, entries)
  const partition = partitionOf(conversation, partitions)
  await log.append(topics.events, partition, [{ headers: { schema: recordSchema }, value }])
}

async function read(...cursors: Cursor[]): Promise<void> {
  const value = encodeCursorRecord(cursors)
  await log.append(topics.cursors, home, [{ headers: { schema: recordSchema }, value }])
}
const at = (user: string, seq: number, conversation = first): Cursor => {
  return { conversation, user, seq }
}

async function position(user: string, conversation = first): Promise<number | undefined> {
  return (await readTables(test.db)).members.get(`${conversation}/${user}`)?.read
}

function reaches(user: string, seq: number, conversation = first): Promise<void> {
  const options = { timeout: 10_000, interval: 5 }
  return vi.waitFor(async () => expect(await position(user, conversation)).toBe(seq), options)
}

/** Waits until everything up to this offset is stored as applied. */
function applied(next: number): Promise<void> {
  return vi.waitFor(async () => expect(await checkpoint()).toBe(next), {
    timeout: 10_000,
    interval: 5,
  })
}

async function checkpoint(): Promise<number> {
  const rows = await test.db.snapshot((sql) =>
    sql.query<{ next_cursor: number }>(
      'select next_cursor from cursor_checkpoints where partition = $1',
      [home],
    ),
  )
  return rows[0]?.next_cursor ?? 0
}

async function metric(name: string): Promise<number> {
  const found = await metrics.registry.getSingleMetric(name)?.get()
  return (found?.values ?? []).reduce((sum, v) => sum + v.value, 0)
}

describe('cursors in storage-worker', { timeout: 30_000 }, () => {
  it('[G9] become read positions that only advance, over restarts and doubled records', async () => {
    await happens(first, created(ada, bob), says, says, says)
    const worker = await startWorker()
    await read(at(bob, 2))
    await reaches(bob, 2)
    await worker.stop()
    await read(at(bob, 4), at(ada, 1))
    await read(at(bob, 3))
    await startWorker()
    await reaches(bob, 4)
    await applied(3)
    // Sending has moved Ada's already.
    expect(await position(ada)).toBe(4)
    for (const stop of stops) await stop()
    await test.db.transaction((sql) => sql.query('delete from cursor_checkpoints'))
    await startWorker()
    await applied(3)
    expect([await position(ada), await position(bob)]).toEqual([4, 4])
  })

  it('[G9] one ahead of the projection waits for its head and its member, and is not lost', async () => {
    await happens(first, created(ada, bob), says)
    await startWorker({ cursorWaitMs: 60_000 })
    await read(at(bob, 3), at(eve, 4), at(ada, 1, second))
    await reaches(bob, 2)
    expect(await metric('parley_storage_cursors_waiting')).toBe(3)
    await happens(first, says, joins(eve))
    await reaches(bob, 3)
    await reaches(eve, 4)
    expect(await checkpoint()).toBe(0)
    await happens(second, created(ada))
    await reaches(ada, 1, second)
    await applied(1)
  })

  it('one that waits holds up no other', async () => {
    await happens(first, created(ada, bob), says, says)
    await startWorker({ cursorWaitMs: 60_000 })
    await read(at(eve, 3))
    for (const seq of [1, 2, 3]) {
      await read(at(bob, seq))
      await reaches(bob, seq)
    }
    expect(await metric('parley_storage_cursors_waiting')).toBe(1)
    expect(await checkpoint()).toBe(0)
  })

  it('[G6] those of users outside are given up, and of a member who left nothing stays', async () => {
    await happens(first, created(ada, bob, eve), says, says)
    await startWorker()
    await read(at(eve, 2))
    await reaches(eve, 2)
    await happens(first, leaves(eve))
    await reaches(ada, 3)
    await vi.waitFor(async () => expect(await position(eve)).toBeUndefined())
    await read(at(eve, 3))
    await applied(2)
    expect(await metric('parley_storage_cursors_dropped_total')).toBe(1)
    await happens(first, joins(eve))
    await reaches(eve, 0)
    await read(at(eve, 5))
    await reaches(eve, 5)
  })

  it('[G9] one beyond the end counts as the head it has', async () => {
    await happens(first, created(ada, bob), says, says)
    await startWorker()
    await read(at(bob, 1_000))
    await applied(1)
    await happens(first, says)
    await reaches(ada, 4)
    expect(await position(bob)).toBe(3)
  })

  it('while the projection is behind, none is given up, however long that takes', async () => {
    await happens(first, created(ada, bob), says)
    await startCursorsAlone({ cursorWaitMs: 1 })
    await read(at(bob, 2))
    const until = performance.now() + 400
    await vi.waitFor(() => expect(performance.now()).toBeGreaterThan(until), 1_000)
    expect(await checkpoint()).toBe(0)
    expect(await metric('parley_storage_cursors_dropped_total')).toBe(0)
    await stops.pop()?.()
    await startWorker({ cursorWaitMs: 1 })
    await reaches(bob, 2)
  })

  it('[G8] so many wait; then the partition is read no further until some are settled', async () => {
    await happens(first, created(ada, bob), says)
    await startWorker({ cursorWaitMs: 60_000, maxWaitingCursors: 3 })
    const strangers = Array.from({ length: 4 }, (_, n) => idOf('bb', n))
    await read(...strangers.map((user) => at(user, 2)))
    await vi.waitFor(async () => expect(await metric('parley_storage_cursors_waiting')).toBe(4))
    await read(at(bob, 2))
    const until = performance.now() + 200
    await vi.waitFor(() => expect(performance.now()).toBeGreaterThan(until), 1_000)
    expect(await position(bob)).toBe(0)
    await happens(first, joins(strangers[0] as string))
    await reaches(bob, 2)
    await reaches(strangers[0] as string, 2)
  })

  it('[G8] trims the cursors log behind what is stored as applied, and keeps the margin', async () => {
    await happens(first, created(ada, bob), says, says)
    await startWorker({ trimIntervalMs: 1, retainRecords: 2 })
    for (let n = 0; n < 6; n++) await read(at(bob, (n % 3) + 1))
    await vi.waitFor(
      async () => expect(await log.range(topics.cursors, home)).toEqual({ earliest: 4, next: 6 }),
      { timeout: 5_000, interval: 5 },
    )
    for (const stop of stops) await stop()
    await startWorker()
    await read(at(bob, 3))
    await applied(7)
  })

  it('a record that can not be read stops its partition alone, after what stands before it', async () => {
    await happens(first, created(ada, bob), says, says)
    const worker = await startWorker()
    await read(at(bob, 2))
    await log.append(topics.cursors, home, [{ headers: { schema: '7' }, value: Buffer.of(1) }])
    await read(at(bob, 3))
    await vi.waitFor(() => expect(worker.problems()).toHaveLength(1))
    expect(worker.problems()[0]).toMatch(/of parley.cursors stopped.* the record at 1: .*schema 7/)
    expect(await metric('parley_storage_cursors_stopped')).toBe(1)
    await reaches(bob, 2)
    await happens(first, says)
    await reaches(ada, 4)
    expect(await position(bob)).toBe(2)
  })

  it('[R15] a database that is older than what the log still holds stops the partition with a sentence', async () => {
    for (let n = 0; n < 3; n++) await read(at(bob, 1))
    await log.trim(topics.cursors, home, 2)
    const worker = await startWorker()
    await vi.waitFor(() => expect(worker.problems()).toHaveLength(1))
    expect(worker.problems()[0]).toMatch(/parley.cursors.* at offset 0.* nothing before 2/)
  })

  it('waits while the database is away, and loses nothing', async () => {
    let away = 0
    const broken = () => {
      away -= 1
      return Promise.reject(new DatabaseUnavailable('away'))
    }
    const flaky: Database = {
      ...test.db,
      transaction: (work) => (away > 0 ? broken() : test.db.transaction(work)),
      snapshot: (work) => (away > 0 ? broken() : test.db.snapshot(work)),
    }
    await happens(first, created(ada, bob), says, says)
    const worker = await startWorker({}, flaky)
    await reaches(ada, 3)
    away = 20
    await read(at(bob, 3))
    await reaches(bob, 3)
    expect(worker.problems()).toEqual([])
  })

  it('[G9] after a standby took over with an older state, what it lacks is read again', async () => {
    await happens(first, created(ada, bob), says, says)
    await startWorker()
    await read(at(bob, 2))
    await read(at(bob, 3))
    await applied(2)
    await test.db.transaction(async (sql) => {
      await sql.query('update cursor_checkpoints set next_cursor = 1')
      await sql.query('update members set read_seq = 2 where user_id = $1', [bob])
    })
    await read(at(ada, 1))
    await reaches(bob, 3)
    await applied(3)
  })

  it('commits for those who look at the group', async () => {
    await happens(first, created(ada, bob), says, says)
    const worker = await startWorker()
    await read(at(bob, 2))
    await applied(1)
    await vi.waitFor(() => expect(metric('parley_storage_cursor_lag_records')).resolves.toBe(0))
    await worker.stop()
    let committed: number | null = null
    const membership = await log.join('storage-worker-cursors', topics.cursors, {
      async assigned(assignment) {
        if (assignment.partition === home) committed = assignment.committed
        return { start: 0, read: async () => {}, revoked: async () => {} }
      },
      failed() {},
    })
    await vi.waitFor(() => expect(committed).toBe(1))
    await membership.close()
  })

  it('[G9] sends and cursors of the same members at once: all converge, and no transaction stands in another’s way', async () => {
    const users = Array.from({ length: 6 }, (_, n) => idOf('b', n))
    const step = fc.record({
      user: fc.nat(users.length - 1),
      sends: fc.boolean(),
      seq: fc.integer({ min: 1, max: 150 }),
      in: fc.constantFrom(first, second),
    })
    const [steps = []] = fc.sample(fc.array(step, { minLength: 300, maxLength: 300 }), {
      seed: 11,
      numRuns: 1,
    })
    await happens(first, created(...users))
    await happens(second, created(...users))
    await startWorker({ transactionEvents: 3, cursorWaitMs: 60_000 })
    const expected = new Map<string, number>()
    const wanted: Cursor[] = []
    for (const s of steps) {
      const user = users[s.user] as string
      const key = `${s.in}/${user}`
      if (s.sends) {
        await happens(s.in, { ...says, sender: user })
        expected.set(key, Math.max(expected.get(key) ?? 0, heads.get(s.in) ?? 0))
      } else {
        await read(at(user, s.seq, s.in))
        wanted.push(at(user, s.seq, s.in))
      }
    }
    for (const { conversation, user, seq } of wanted) {
      // Until every head is there, so that none of them is beyond the end.
      while ((heads.get(conversation) ?? 0) < seq) await happens(conversation, titled)
      const key = `${conversation}/${user}`
      expected.set(key, Math.max(expected.get(key) ?? 0, seq))
    }
    await applied(wanted.length)
    await vi.waitFor(async () => {
      const { members } = await readTables(test.db)
      for (const [key, seq] of expected) expect(members.get(key)?.read, key).toBe(seq)
    })
    expect(await metric('parley_storage_retries_total')).toBe(0)
  })
})
