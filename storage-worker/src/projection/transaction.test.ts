import { type Database, DatabaseUnavailable, type Sql } from '@parley/platform/ports/database'
import type { LogRecord } from '@parley/platform/ports/log'
import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { migrate } from '../migrations/migrate.ts'
import { epochId, histories, type LoggedHistory, recordOf } from '../testing/histories.ts'
import { emptyDatabase, readTables } from '../testing/read-tables.ts'
import { applyOnce } from '../testing/reference.ts'
import { emptyTables, type Tables } from '../testing/tables.ts'
import { type Batch, type Bound, type Checkpoint, decodeBatches } from './batch.ts'
import { readCheckpoint } from './load.ts'
import { projectBatch } from './transaction.ts'

const partition = 1
const epoch = { number: 3, id: epochId, partitions: 2 }
const start: Bound = { offset: 0, index: 0 }

let test: TestDatabase
beforeAll(async () => {
  test = await openTestDatabase()
  await migrate(test.db)
}, 60_000)
afterAll(() => test.close())
beforeEach(() => emptyDatabase(test.db, epoch))

function decode(records: LogRecord[], maxEvents = 1_000): Batch[] {
  return [...decodeBatches(records, { partition, epoch: epoch.number, epochId, maxEvents })]
}

async function checkpointOf(db: Database): Promise<Checkpoint> {
  const checkpoint = await db.snapshot((sql) => readCheckpoint(sql, partition))
  if (checkpoint === undefined) throw new Error('no checkpoint')
  return checkpoint
}

function expected({ outcomes }: LoggedHistory): Tables {
  const tables = emptyTables()
  for (const { entry } of outcomes) {
    if (entry !== undefined) applyOnce(tables, entry, epoch.number)
  }
  return tables
}

function expectedCheckpoint({ records, outcomes }: LoggedHistory): Checkpoint {
  return { epoch: epoch.number, next: records.length, upTo: outcomes.at(-1)?.after ?? start }
}

/** A history with members that come, go and come again, edits and deletes; large enough for several batches. */
function oneHistory(seed: number): LoggedHistory {
  const [longest] = fc
    .sample(histories, { seed, numRuns: 30 })
    .sort((a, b) => sizeOf(b) - sizeOf(a))
  if (longest === undefined) throw new Error('no sample')
  return longest
}

function sizeOf({ outcomes, records }: LoggedHistory): number {
  return outcomes.length + records.length
}

describe('projection in PostgreSQL', { timeout: 60_000 }, () => {
  it('[R4] [G3] [G4] two workers race over any log, doubled and cut in any way, and each event counts once', async () => {
    let lost = 0
    await fc.assert(
      fc.asyncProperty(
        histories,
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        async (history, sizes) => {
          await emptyDatabase(test.db, epoch)
          const races = [race(history, sizes), race(history, sizes.toReversed())]
          for (const n of await Promise.all(races)) lost += n
          expect(await readTables(test.db)).toEqual(expected(history))
          expect(await checkpointOf(test.db)).toEqual(expectedCheckpoint(history))
        },
      ),
      { numRuns: 25 },
    )
    expect(lost).toBeGreaterThan(0)
  })

  it('[R4] of two transactions on one batch one writes and the other finds the checkpoint moved', async () => {
    const history = oneHistory(1)
    const [batch] = decode(history.records)
    if (batch === undefined) throw new Error('no batch')
    const outcomes = await Promise.all([projectBatch(test.db, batch), projectBatch(test.db, batch)])
    expect(outcomes.map((o) => o.type).sort()).toEqual(['moved', 'projected'])
    expect(outcomes.map((o) => o.checkpoint)).toEqual(Array(2).fill(expectedCheckpoint(history)))
    expect(await readTables(test.db)).toEqual(expected(history))
  })

  it('[R4] killed before any of its statements, a transaction leaves rows and checkpoint as they were', async () => {
    const history = oneHistory(2)
    const batches = decode(history.records, 20)
    expect(batches.length).toBeGreaterThan(1)
    let kills = 0
    for (const batch of batches) {
      const before = [await readTables(test.db), await checkpointOf(test.db)]
      for (let statement = 0; ; statement++) {
        const result = await projectBatch(killedBefore(test.db, statement), batch).catch(
          (error: unknown) => error,
        )
        if (!(result instanceof DatabaseUnavailable)) {
          expect(result).toMatchObject({ type: 'projected' })
          break
        }
        kills += 1
        expect([await readTables(test.db), await checkpointOf(test.db)]).toEqual(before)
      }
    }
    expect(kills).toBeGreaterThan(batches.length * 3)
    expect(await readTables(test.db)).toEqual(expected(history))
  })

  it('[R4] an empty record moves the checkpoint and nothing else', async () => {
    const upTo = { offset: 9, index: 4 }
    for (const batch of decode([recordOf(0, upTo, [])])) await projectBatch(test.db, batch)
    expect(await checkpointOf(test.db)).toEqual({ epoch: epoch.number, next: 1, upTo })
    expect(await readTables(test.db)).toEqual(emptyTables())
  })

  it('[R4] S does not go back when a later record says less', async () => {
    const [high, low] = [
      { offset: 9, index: 4 },
      { offset: 9, index: 3 },
    ]
    for (const batch of decode([recordOf(0, high, [])])) await projectBatch(test.db, batch)
    for (const batch of decode([recordOf(1, low, [])])) await projectBatch(test.db, batch)
    expect(await checkpointOf(test.db)).toEqual({ epoch: epoch.number, next: 2, upTo: high })
  })

  it('[R4] [R15] a batch of another epoch than the checkpoint is refused', async () => {
    const [batch] = decode(oneHistory(3).records)
    if (batch === undefined) throw new Error('no batch')
    await expect(projectBatch(test.db, { ...batch, epoch: 2 })).rejects.toThrow(
      'the database has gone on to epoch 3, this worker began in epoch 2',
    )
    expect(await readTables(test.db)).toEqual(emptyTables())
  })

  it('[R4] events that come again after a commit are compared with what is stored', async () => {
    const history = oneHistory(4)
    for (const batch of decode(history.records)) await projectBatch(test.db, batch)
    const again = history.records.map((r, i) => ({ ...r, offset: history.records.length + i }))
    for (const batch of decode(again, 7)) {
      expect(await projectBatch(test.db, batch)).toMatchObject({
        type: 'projected',
        projection: { rows: [], drafts: [] },
      })
    }
    expect(await readTables(test.db)).toEqual(expected(history))
  })

  it('[G9] a read position that cursors moved further is not moved back by a send', async () => {
    const history = oneHistory(5)
    const batches = decode(history.records, 10)
    for (const batch of batches.slice(0, 1)) await projectBatch(test.db, batch)
    await test.db.transaction((sql) => sql.query('update members set read_seq = 1000'))
    const reads = new Map([...(await readTables(test.db)).members])
    for (const batch of batches.slice(1)) await projectBatch(test.db, batch)
    const after = (await readTables(test.db)).members
    const stayed = [...reads].filter(([key, m]) => after.get(key)?.joined === m.joined)
    expect(stayed.length).toBeGreaterThan(0)
    for (const [key] of stayed) expect(after.get(key)?.read).toBe(1000)
  })
})

/** One worker: reads on from the checkpoint, in batches of these sizes, until the end. Answers how often it lost. */
async function race({ records }: LoggedHistory, sizes: number[]): Promise<number> {
  let { next } = await checkpointOf(test.db)
  let lost = 0
  for (let turn = 0; next < records.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    for (const batch of decode(records.slice(next, next + size), 4)) {
      const outcome = await projectBatch(test.db, batch)
      next = outcome.checkpoint.next
      if (outcome.type === 'projected') continue
      lost += 1
      break
    }
  }
  return lost
}

/** The database, whose server ends the connection of a transaction before its n-th statement. */
function killedBefore(db: Database, n: number): Database {
  return {
    ...db,
    transaction: (work) =>
      db.transaction((sql) => {
        let asked = 0
        const killing: Sql = {
          async query<Row>(text: string, params?: readonly unknown[], name?: string) {
            const kill = asked === n
            asked += 1
            if (kill) await sql.query('select pg_terminate_backend(pg_backend_pid())')
            return sql.query<Row>(text, params, name)
          },
        }
        return work(killing)
      }),
  }
}
