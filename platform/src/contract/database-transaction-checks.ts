import assert from 'node:assert/strict'
import type { DatabaseCheck } from './database-harness.ts'
import { backendOf, createLedger, gate, inTime, put, rejection, stored } from './database-ledger.ts'

export const transactionChecks: DatabaseCheck[] = [
  {
    name: '[DB2] what a transaction wrote is there when it resolves, with its result, on a new connection too',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      const result = await db.transaction(async (sql) => {
        await put(sql, table, 1, 2)
        return 'result'
      })
      assert.equal(result, 'result')
      const other = await harness.open()
      assert.deepEqual(await stored(other, table), [1, 2])
    },
  },
  {
    name: '[DB2] work that throws leaves nothing, and its own error comes out',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      // The second is what a call to somebody else throws; it says nothing of the database.
      const foreign = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })
      for (const mine of [new Error('mine'), foreign]) {
        const error = await rejection(
          db.transaction(async (sql) => {
            await put(sql, table, 1)
            throw mine
          }),
        )
        assert.equal(error, mine)
      }
      assert.deepEqual(await stored(db, table), [])
    },
  },
  {
    name: '[DB2] a failed statement leaves nothing, and the transaction rejects even when work catches the error',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      const direct = await rejection(db.transaction((sql) => put(sql, table, 1, 1)))
      assert.equal(direct.code, '23505')
      await rejection(
        db.transaction(async (sql) => {
          await put(sql, table, 2)
          await put(sql, table, 2).catch(() => {})
        }),
      )
      assert.deepEqual(await stored(db, table), [])
    },
  },
  {
    name: '[DB2] a statement that nobody waited for still belongs to its transaction',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      await db.transaction(async (sql) => {
        void put(sql, table, 1)
      })
      assert.deepEqual(await stored(db, table), [1])
      await rejection(
        db.transaction(async (sql) => {
          await put(sql, table, 2)
          put(sql, table, 1).catch(() => {})
        }),
      )
      assert.deepEqual(await stored(db, table), [1])
    },
  },
  {
    name: '[DB2] a constraint that fails at commit leaves nothing and rejects',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      await db.transaction((sql) =>
        sql.query(
          `create table ${harness.schema}.entry (n int8 references ${table} deferrable initially deferred)`,
        ),
      )
      const error = await rejection(
        db.transaction(async (sql) => {
          await put(sql, table, 1)
          await put(sql, `${harness.schema}.entry`, 2)
        }),
      )
      assert.equal(error.code, '23503')
      assert.deepEqual(await stored(db, table), [])
    },
  },
  {
    name: '[DB2] work runs once, also when the server picks its transaction to break a deadlock',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      await db.transaction((sql) => put(sql, table, 1, 2))
      const runs = [0, 0]
      const bothLocked = [gate(), gate()] as const
      const crossing = ([1, 2] as const).map((mine, index) =>
        db.transaction(async (sql) => {
          runs[index] = (runs[index] ?? 0) + 1
          const lock = (n: number) =>
            sql.query(`select n from ${table} where n = $1 for update`, [n])
          await lock(mine)
          bothLocked[index]?.open()
          await inTime(harness, Promise.all(bothLocked.map(({ opened }) => opened)))
          await lock(3 - mine)
        }),
      )
      const ends = await Promise.allSettled(crossing)
      const failed = ends.filter((end) => end.status === 'rejected')
      assert.equal(failed.length, 1)
      assert.equal(failed[0]?.reason.code, '40P01')
      assert.deepEqual(runs, [1, 1])
    },
  },
  {
    name: '[DB3] a transaction has one connection, sees its own writes, and others see none before it resolves',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      await db.transaction(async (sql) => {
        const first = await backendOf(sql)
        await put(sql, table, 1)
        assert.equal((await sql.query(`select n from ${table}`)).length, 1)
        assert.deepEqual(await stored(db, table), [])
        assert.equal(await backendOf(sql), first)
      })
      assert.deepEqual(await stored(db, table), [1])
    },
  },
  {
    name: '[DB3] a transaction sees what others committed since its last statement',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      await db.transaction(async (sql) => {
        assert.equal((await sql.query(`select n from ${table}`)).length, 0)
        await db.transaction((other) => put(other, table, 1))
        assert.equal((await sql.query(`select n from ${table}`)).length, 1)
      })
    },
  },
  {
    name: '[DB3] statements asked for together run in the order asked, and none after the end',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      const escaped = await db.transaction(async (sql) => {
        await Promise.all([
          put(sql, table, 1),
          sql.query(`update ${table} set n = n + 10`),
          put(sql, table, 2),
        ])
        return sql
      })
      assert.deepEqual(await stored(db, table), [2, 11])
      await rejection(put(escaped, table, 3))
      assert.deepEqual(await stored(db, table), [2, 11])
    },
  },
  {
    name: '[DB4] [R6] every query of a snapshot sees the moment of its first one',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      await db.transaction((sql) => put(sql, table, 1))
      await db.snapshot(async (sql) => {
        const look = () => sql.query<{ n: number }>(`select n from ${table} order by n`)
        assert.deepEqual(await look(), [{ n: 1 }])
        await db.transaction(async (other) => {
          await put(other, table, 2)
          await other.query(`delete from ${table} where n = 1`)
        })
        assert.deepEqual(await look(), [{ n: 1 }])
        assert.deepEqual(await look(), [{ n: 1 }])
      })
      assert.deepEqual(await stored(db, table), [2])
    },
  },
  {
    name: '[DB4] a snapshot writes nothing',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      const error = await rejection(db.snapshot((sql) => put(sql, table, 1)))
      assert.equal(error.code, '25006')
      assert.deepEqual(await stored(db, table), [])
    },
  },
]
