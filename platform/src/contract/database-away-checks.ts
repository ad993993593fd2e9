import assert from 'node:assert/strict'
import { type Database, DatabaseUnavailable } from '@parley/platform/ports/database'
import { StartError } from '../process/start-error.ts'
import type { DatabaseCheck, DatabaseHarness, ServerControl } from './database-harness.ts'
import {
  backendOf,
  background,
  createLedger,
  gate,
  inTime,
  put,
  rejection,
  stored,
  until,
} from './database-ledger.ts'

function control({ server }: DatabaseHarness): ServerControl {
  assert.ok(server, 'this check needs a server that it may break')
  return server
}

async function terminate(harness: DatabaseHarness, pid: number): Promise<void> {
  const other = await harness.open()
  await other.transaction((sql) => sql.query('select pg_terminate_backend($1)', [pid]))
  await until(harness, `backend ${pid} ended`, async () => {
    const rows = await other.transaction((sql) =>
      sql.query('select 1 from pg_stat_activity where pid = $1', [pid]),
    )
    return rows.length === 0
  })
}

/** Calls until one succeeds; every rejection before must say that the database is away. */
async function untilBack(harness: DatabaseHarness, db: Database): Promise<void> {
  await until(harness, 'the database is back', () =>
    db.ping().then(
      () => true,
      (error) => {
        assert.ok(error instanceof DatabaseUnavailable, `rejected with ${error}`)
        return false
      },
    ),
  )
}

/** Transactions of three rows each, one after the other, until one fails; returns those that resolved. */
async function writeUntilAway(db: Database, table: string, from: number): Promise<number[]> {
  const resolved: number[] = []
  for (let n = from; ; n += 3) {
    try {
      await db.transaction((sql) => put(sql, table, n, n + 1, n + 2))
      resolved.push(n)
    } catch (error) {
      assert.ok(error instanceof DatabaseUnavailable, `rejected with ${error}`)
      return resolved
    }
  }
}

export const awayChecks: DatabaseCheck[] = [
  {
    name: '[DB1] [DB2] after a crash of the server every resolved transaction is there, and each one whole or not at all',
    breaks: true,
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      const resolved: number[] = []
      for (let round = 1; round <= 3; round++) {
        const writers = [1, 2, 3].map((writer) =>
          background(writeUntilAway(db, table, round * 1e9 + writer * 1e6)),
        )
        await until(harness, 'something was written', async () => {
          const rows = await stored(db, table)
          return rows.filter((n) => n >= round * 1e9).length >= 90
        })
        await control(harness).crash()
        resolved.push(...(await inTime(harness, Promise.all(writers))).flat())
        await control(harness).back()
        await untilBack(harness, db)
      }
      const found = new Set(await stored(db, table))
      const lost = resolved.filter((n) => !found.has(n))
      assert.deepEqual(lost, [], `${lost.length} of ${resolved.length} transactions were lost`)
      for (const n of found) {
        const first = n - ((n % 1e6) % 3)
        for (const part of [first, first + 1, first + 2]) assert.ok(found.has(part), `half of ${n}`)
      }
    },
  },
  {
    name: '[DB8] a connection that dies while idle hurts nobody, and the next call works',
    async run(harness) {
      const db = await harness.open({ poolMax: 1 })
      const first = await db.transaction(backendOf)
      await terminate(harness, first)
      // Its end may not have reached us yet; then this one call finds the connection dead.
      await untilBack(harness, db)
      assert.notEqual(await db.transaction(backendOf), first)
    },
  },
  {
    name: '[DB8] a transaction whose connection dies rejects with DatabaseUnavailable and leaves nothing',
    async run(harness) {
      const db = await harness.open({ poolMax: 1 })
      const table = await createLedger(harness, db)
      const between = await rejection(
        db.transaction(async (sql) => {
          await put(sql, table, 1)
          await terminate(harness, await backendOf(sql))
          await put(sql, table, 2)
        }),
      )
      assert.ok(between instanceof DatabaseUnavailable, `rejected with ${between}`)
      const pid = gate()
      let backend = 0
      const during = background(
        rejection(
          db.transaction(async (sql) => {
            await put(sql, table, 3)
            backend = await backendOf(sql)
            pid.open()
            await sql.query('select pg_sleep(3600)')
          }),
        ),
      )
      await inTime(harness, pid.opened)
      await terminate(harness, backend)
      assert.ok((await inTime(harness, during)) instanceof DatabaseUnavailable)
      assert.deepEqual(await stored(db, table), [])
    },
  },
  {
    name: '[DB8] when the server dies calls reject with DatabaseUnavailable, and when it is back they work again',
    breaks: true,
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      await db.transaction((sql) => put(sql, table, 1))
      const asking = gate()
      const inFlight = background(
        rejection(
          db.snapshot(async (sql) => {
            await sql.query('select 1')
            asking.open()
            await sql.query('select pg_sleep(3600)')
          }),
        ),
      )
      await inTime(harness, asking.opened)
      await control(harness).crash()
      assert.ok((await inTime(harness, inFlight)) instanceof DatabaseUnavailable)
      await control(harness).back()
      await untilBack(harness, db)
      assert.deepEqual(await stored(db, table), [1])
      await db.orm.em.fork().execute('select 1')
    },
  },
  {
    name: '[DB8] when the server does not answer calls reject with DatabaseUnavailable in time, and then work again',
    breaks: true,
    async run(harness) {
      const db = await harness.open({
        poolMax: 2,
        acquireTimeoutMs: 200,
        statementTimeoutMs: 200,
      })
      await db.ping()
      await control(harness).freeze()
      try {
        const calls = [db.ping(), db.ping(), db.snapshot((sql) => sql.query('select 1')), db.ping()]
        for (const end of await inTime(harness, Promise.allSettled(calls))) {
          assert.ok(end.status === 'rejected')
          assert.ok(end.reason instanceof DatabaseUnavailable, `rejected with ${end.reason}`)
        }
        const later = await rejection(inTime(harness, db.ping()))
        assert.ok(later instanceof DatabaseUnavailable)
      } finally {
        await control(harness).thaw()
      }
      await untilBack(harness, db)
      await inTime(harness, Promise.all([db.ping(), db.ping(), db.ping()]))
    },
  },
  {
    name: '[DB9] [G1] a server that confirms before it has written is refused in one sentence',
    async run(harness) {
      const db = await harness.open()
      const set = (change: string) =>
        db.transaction(async (sql) => {
          const [row] = await sql.query<{ name: string }>(
            'select quote_ident(current_database()) as name',
          )
          await sql.query(`alter database ${row?.name} ${change}`)
        })
      await set('set synchronous_commit = off')
      try {
        const error = await rejection(harness.open())
        assert.ok(error instanceof StartError)
        assert.match(error.message, /^[^\n]*synchronous_commit = off[^\n]*$/)
      } finally {
        await set('reset synchronous_commit')
      }
      await (await harness.open()).ping()
    },
  },
]
