import { createMemoryBus } from '@parley/platform/memory/bus'
import type { Bus } from '@parley/platform/ports/bus'
import { type Database, DatabaseUnavailable } from '@parley/platform/ports/database'
import type { Log, LogRecord } from '@parley/platform/ports/log'
import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import { createLogger } from '@parley/platform/process/logs'
import { createMetrics, type Metrics } from '@parley/platform/process/metrics'
import { channels, decodeProjected, decodeUserNotice } from '@parley/proto/fan-out'
import { recordSchema, topics } from '@parley/proto/record-headers'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { createStorageWorker, type StorageWorker } from './create.ts'
import { claimEpoch } from './epochs.ts'
import { migrate } from './migrations/migrate.ts'
import type { StorageWorkerSettings } from './settings.ts'
import { entryFor, histories, idOf, type LoggedHistory, recordOf } from './testing/histories.ts'
import { emptyDatabase, readTables } from './testing/read-tables.ts'
import { applyOnce } from './testing/reference.ts'
import { emptyTables, type Tables } from './testing/tables.ts'
import { openTestLog, type TestLog } from './testing/test-log.ts'

const partitions = 2
const history = longest()
const logger = createLogger({ name: 'test', level: 'silent' })
const stranger = { schema: '7' }

let test: TestDatabase
let opened: TestLog
let log: Log
let bus: Bus
let epoch: number
let workers: StorageWorker[]
let metrics: Metrics
beforeAll(async () => {
  test = await openTestDatabase()
  await migrate(test.db)
}, 60_000)
afterAll(() => test.close())
beforeEach(async () => {
  opened = await openTestLog(partitions)
  log = opened.log
  bus = createMemoryBus()
  workers = []
  await emptyDatabase(test.db, { number: 1, id: log.epoch, partitions })
  epoch = await claimEpoch(test.db, log)
})
afterEach(async () => {
  for (const worker of workers) await worker.stop()
  await bus.close()
  await opened.close()
})

interface Parts {
  log: Log
  db: Database
  bus: Bus
}

async function startWorker(
  settings: Partial<StorageWorkerSettings> = {},
  parts: Partial<Parts> = {},
): Promise<StorageWorker> {
  metrics = createMetrics()
  const worker = createStorageWorker(
    { retryMinMs: 1, retryMaxMs: 10, reportIntervalMs: 10, trimIntervalMs: 0, ...settings },
    { log, db: test.db, bus, epoch, logger, metrics, ...parts },
  )
  workers.push(worker)
  await worker.start()
  return worker
}

async function append(partition: number, records: LogRecord[]): Promise<void> {
  for (const { headers, value } of records) {
    await log.append(topics.events, partition, [{ headers: { schema: headers.schema }, value }])
  }
}

/** Waits until the checkpoint of the partition is at this offset. */
function reached(partition: number, next: number): Promise<void> {
  return vi.waitFor(
    async () => {
      const rows = await test.db.snapshot((sql) =>
        sql.query('select next_event from partition_checkpoints where partition = $1', [partition]),
      )
      expect(rows).toEqual([{ next_event: next }])
    },
    { timeout: 10_000, interval: 5 },
  )
}

async function metric(name: string): Promise<number> {
  const found = await metrics.registry.getSingleMetric(name)?.get()
  return (found?.values ?? []).reduce((sum, v) => sum + v.value, 0)
}

describe('storage-worker', { timeout: 30_000 }, () => {
  it('[R4] [G4] projects what stands in the log and what comes, and its successor goes on from the checkpoint', async () => {
    const half = Math.floor(history.records.length / 2)
    await append(1, history.records.slice(0, half))
    const first = await startWorker({ transactionEvents: 3 })
    await reached(1, half)
    await first.stop()
    await append(1, history.records.slice(half))
    await startWorker()
    await reached(1, history.records.length)
    expect(await readTables(test.db)).toEqual(expected(history))
    expect(await metric('parley_storage_events_total')).toBeLessThan(history.outcomes.length)
  })

  it('[R4] the checkpoint counts, not the offset that the group committed', async () => {
    await append(0, history.records)
    await startWorker()
    await reached(0, history.records.length)
    for (const worker of workers) await worker.stop()
    await emptyDatabase(test.db, { number: 1, id: log.epoch, partitions })
    await startWorker()
    await reached(0, history.records.length)
    expect(await readTables(test.db)).toEqual(expected(history))
  })

  it('[R4] two workers that both believe to own a partition write everything once', async () => {
    const apart = (name: string): Log => ({
      ...log,
      join: (group, topic, consumer) => log.join(`${group}-${name}`, topic, consumer),
    })
    await startWorker({ transactionEvents: 2 }, { log: apart('a') })
    await startWorker({ transactionEvents: 3 }, { log: apart('b') })
    await append(1, history.records)
    await reached(1, history.records.length)
    expect(await readTables(test.db)).toEqual(expected(history))
    expect(workers.flatMap((w) => w.problems())).toEqual([])
  })

  it('tells who waits which heads can be read, and once more who belongs where', async () => {
    const heads = new Map<string, number>()
    const added: string[] = []
    await bus.subscribe(channels.projected(1), (payload) => {
      for (const [id, head] of decodeProjected(payload)) heads.set(id, head)
    })
    const user = [...expected(history).members.keys()][0]?.split('/')[1] ?? ''
    await bus.subscribe(channels.user(user), (payload) => {
      const notice = decodeUserNotice(payload)
      if (notice.type === 'added') added.push(notice.conversation)
    })
    await startWorker()
    await append(1, history.records)
    const { conversations } = expected(history)
    const last = new Map([...conversations].map(([id, c]) => [id, c.head]))
    await vi.waitFor(() => expect(heads).toEqual(last), { timeout: 10_000, interval: 5 })
    const [mine] = [...expected(history).members.keys()].filter((k) => k.endsWith(user))
    expect(added).toContain(mine?.split('/')[0])
  })

  it('a bus that is away is counted and holds nothing up', async () => {
    await bus.close()
    await startWorker()
    await append(1, history.records)
    await reached(1, history.records.length)
    await vi.waitFor(async () => {
      expect(await metric('parley_storage_publishes_lost_total')).toBeGreaterThan(0)
    })
  })

  it('[G1] waits while the database is away, and loses nothing', async () => {
    let away = 8
    const flaky: Database = {
      ...test.db,
      transaction(work) {
        if (away > 0) {
          away -= 1
          return Promise.reject(new DatabaseUnavailable('away'))
        }
        return test.db.transaction(work)
      },
      snapshot(work) {
        if (away > 4) {
          away -= 1
          return Promise.reject(new DatabaseUnavailable('away'))
        }
        return test.db.snapshot(work)
      },
    }
    await append(1, history.records)
    const worker = await startWorker({}, { db: flaky })
    await reached(1, history.records.length)
    expect(await readTables(test.db)).toEqual(expected(history))
    expect(await metric('parley_storage_retries_total')).toBeGreaterThanOrEqual(8)
    expect(worker.problems()).toEqual([])
  })

  it('stops at once while the database is away', async () => {
    const away: Database = {
      ...test.db,
      transaction: () => Promise.reject(new DatabaseUnavailable('away')),
    }
    const worker = await startWorker({ retryMinMs: 60_000, retryMaxMs: 60_000 }, { db: away })
    await append(1, history.records)
    await vi.waitFor(async () => {
      expect(await metric('parley_storage_retries_total')).toBeGreaterThan(0)
    })
    await worker.stop()
    expect(await readTables(test.db)).toEqual(emptyTables())
  })

  it('[R4] [D1] a partition that can not go on stops alone, and says so', async () => {
    const worker = await startWorker()
    await append(1, history.records.slice(0, 1))
    await log.append(topics.events, 1, [{ headers: stranger, value: Buffer.of(1) }])
    await append(1, history.records.slice(1))
    await append(0, history.records)
    await reached(0, history.records.length)
    await vi.waitFor(() => expect(worker.problems()).toHaveLength(1))
    expect(worker.problems()[0]).toMatch(/partition 1 .* offset 1.* schema 7/)
    await reached(1, 1)
    expect(await metric('parley_storage_stopped')).toBe(1)
  })

  it('[R4] what stands before a hole is projected, however much was read at once', async () => {
    const missing = { type: 'event', kind: 'message', id: idOf('ff', 1), at: 1 } as const
    const event = { ...missing, conversation: idOf('ff', 2), seq: 9, sender: idOf('ff', 3) }
    const at = { offset: 1_000, index: 0 }
    await append(1, history.records)
    await append(1, [recordOf(history.records.length, at, [entryFor(event, at)])])
    const worker = await startWorker()
    await vi.waitFor(() => expect(worker.problems()).toHaveLength(1))
    expect(worker.problems()[0]).toContain(
      `conversation ${event.conversation} seq 9: the head is 0`,
    )
    expect(await readTables(test.db)).toEqual(expected(history))
    await reached(1, history.records.length)
  })

  it('[R15] records of another log stop the partition', async () => {
    await test.db.transaction((sql) =>
      sql.query('update log_epochs set id = $1', [idOf('ffff', 1)]),
    )
    const worker = await startWorker()
    await append(1, history.records)
    await vi.waitFor(() => expect(worker.problems()).toHaveLength(1))
    expect(worker.problems()[0]).toContain(`of the log ${log.epoch}`)
    expect(await readTables(test.db)).toEqual(emptyTables())
  })

  it('[R15] an old database under a log that was trimmed, and a young log under a database, stop with a sentence', async () => {
    await append(0, history.records)
    await log.trim(topics.events, 0, 1)
    await test.db.transaction((sql) =>
      sql.query('update partition_checkpoints set next_event = 5 where partition = 1'),
    )
    const worker = await startWorker()
    await vi.waitFor(() => expect(worker.problems()).toHaveLength(2))
    expect(worker.problems().sort()).toEqual([
      expect.stringMatching(/at offset 0, the log has nothing before 1/),
      expect.stringMatching(/at offset 5, the log ends at 0/),
    ])
  })

  it('[R4] after a standby took over with an older state, everything it lacks is projected again', async () => {
    const half = Math.floor(history.records.length / 2)
    await startWorker()
    await append(1, history.records.slice(0, half))
    await reached(1, half)
    await emptyDatabase(test.db, { number: 1, id: log.epoch, partitions })
    await append(1, history.records.slice(half))
    await reached(1, history.records.length)
    expect(await readTables(test.db)).toEqual(expected(history))
    expect(workers.flatMap((w) => w.problems())).toEqual([])
  })

  it('[G8] trims both logs behind the checkpoint, and keeps the margin', async () => {
    const { records, upTos } = history
    const commands = Math.max(...upTos.map((u) => u.offset))
    for (let i = 0; i <= commands; i++) {
      const record = { headers: { schema: recordSchema }, value: Buffer.of(1) }
      await log.append(topics.commands, 1, [record])
    }
    await append(1, records)
    await startWorker({ trimIntervalMs: 1, retainRecords: 2 })
    await vi.waitFor(
      async () => {
        const kept = await log.range(topics.events, 1)
        expect(kept).toEqual({ earliest: records.length - 2, next: records.length })
        expect((await log.range(topics.commands, 1)).earliest).toBe(commands - 2)
      },
      { timeout: 5_000, interval: 5 },
    )
    expect((await log.range(topics.events, 0)).earliest).toBe(0)
    for (const worker of workers) await worker.stop()
    await startWorker()
    await reached(1, records.length)
    expect(workers.flatMap((w) => w.problems())).toEqual([])
  })

  it('commits for those who look at the group, and measures its lag', async () => {
    await append(1, history.records)
    await startWorker()
    await reached(1, history.records.length)
    await vi.waitFor(() => expect(metric('parley_storage_lag_records')).resolves.toBe(0))
    for (const worker of workers) await worker.stop()
    let committed: number | null = null
    const membership = await log.join('storage-worker', topics.events, {
      async assigned(assignment) {
        if (assignment.partition === 1) committed = assignment.committed
        return { start: 0, read: async () => {}, revoked: async () => {} }
      },
      failed() {},
    })
    await vi.waitFor(() => expect(committed).toBe(history.records.length))
    await membership.close()
  })
})

/** The longest of some histories: several conversations, batches and repeats. */
function longest(): LoggedHistory {
  const [found] = fc
    .sample(histories, { seed: 7, numRuns: 40 })
    .sort((a, b) => b.outcomes.length + b.records.length - a.outcomes.length - a.records.length)
  if (found === undefined) throw new Error('no sample')
  return found
}

function expected({ outcomes }: LoggedHistory): Tables {
  const tables = emptyTables()
  for (const { entry } of outcomes) if (entry !== undefined) applyOnce(tables, entry, epoch)
  return tables
}
