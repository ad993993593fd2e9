import assert from 'node:assert/strict'
import { type Database, DatabaseUnavailable, type Sql } from '@parley/platform/ports/database'
import type { DatabaseCheck, DatabaseHarness } from './database-harness.ts'
import {
  background,
  createLedger,
  gate,
  inTime,
  put,
  rejection,
  stored,
} from './database-ledger.ts'

/** Keeps one connection in a transaction until `letGo`, which ends it by `last`. */
async function holdConnection(
  harness: DatabaseHarness,
  db: Database,
  last: (sql: Sql) => Promise<unknown> = async () => {},
): Promise<{ letGo(): Promise<void> }> {
  const hold = gate()
  const holding = gate()
  const done = background(
    db.transaction(async (sql) => {
      holding.open()
      await hold.opened
      await last(sql)
    }),
  )
  await inTime(harness, holding.opened)
  return {
    letGo() {
      hold.open()
      return done
    },
  }
}

export const boundChecks: DatabaseCheck[] = [
  {
    name: '[DB7] a call beyond the pool waits its turn, at most acquireTimeoutMs, then rejects with DatabaseUnavailable',
    async run(harness) {
      const db = await harness.open({ poolMax: 1, acquireTimeoutMs: 100 })
      const held = await holdConnection(harness, db)
      try {
        const begun = Date.now()
        const late = await rejection(inTime(harness, db.ping()))
        assert.ok(late instanceof DatabaseUnavailable)
        assert.ok(Date.now() - begun >= 90, 'it did not wait')
        const next = background(db.transaction((sql) => sql.query('select 1 as one')))
        await held.letGo()
        assert.deepEqual(await next, [{ one: 1 }])
      } finally {
        await held.letGo()
      }
    },
  },
  {
    name: '[DB7] [G8] beyond the bound on waiting calls the next is refused at once',
    async run(harness) {
      const db = await harness.open({
        poolMax: 1,
        waitingMax: 3,
        acquireTimeoutMs: 2 * harness.deadlineMs,
      })
      const held = await holdConnection(harness, db)
      try {
        const waiting = [1, 2, 3].map(() => background(db.ping()))
        assert.ok((await rejection(inTime(harness, db.ping()))) instanceof DatabaseUnavailable)
        await held.letGo()
        await Promise.all(waiting)
      } finally {
        await held.letGo()
      }
    },
  },
  {
    name: '[DB7] a statement is given up after statementTimeoutMs, a wait for a lock too; the database is not away',
    async run(harness) {
      const db = await harness.open({ statementTimeoutMs: 100, poolMax: 2 })
      const table = await createLedger(harness, db)
      await db.transaction((sql) => put(sql, table, 1))
      const slow = await rejection(
        inTime(
          harness,
          db.transaction((sql) => sql.query('select pg_sleep(3600)')),
        ),
      )
      assert.equal(slow.code, '57014')
      assert.ok(!(slow instanceof DatabaseUnavailable))
      const blocked = await db.transaction(async (sql) => {
        await sql.query(`lock table ${table}`)
        return rejection(inTime(harness, stored(db, table)))
      })
      assert.equal(blocked.code, '57014')
      assert.deepEqual(await stored(db, table), [1])
    },
  },
  {
    name: '[DB7] no connection is lost, however a transaction ends',
    async run(harness) {
      const db = await harness.open({ poolMax: 2, statementTimeoutMs: 100 })
      const table = await createLedger(harness, db)
      const ends: ((n: number) => Promise<unknown>)[] = [
        (n) => db.transaction((sql) => put(sql, table, n)),
        () => rejection(db.transaction((sql) => sql.query('no such statement'))),
        () =>
          rejection(
            db.transaction(async () => {
              throw new Error('mine')
            }),
          ),
        () => rejection(db.snapshot((sql) => put(sql, table, 0))),
        () => rejection(db.transaction((sql) => sql.query('select pg_sleep(3600)'))),
        () =>
          rejection(
            db.transaction(async (sql) => {
              await sql.query('select pg_terminate_backend(pg_backend_pid())').catch(() => {})
              await sql.query('select 1')
            }),
          ),
        () => rejection(db.transaction((sql) => sql.query('select 1', [() => {}, 1]))),
      ]
      for (let round = 0; round < 3; round++) {
        for (const end of ends) await inTime(harness, end(round))
      }
      const both = [gate(), gate()]
      await inTime(
        harness,
        Promise.all(
          both.map(({ open }) =>
            db.transaction(async (sql) => {
              await sql.query('select 1')
              open()
              await Promise.all(both.map(({ opened }) => opened))
            }),
          ),
        ),
      )
      assert.deepEqual(await stored(db, table), [0, 1, 2])
    },
  },
  {
    name: '[DB10] close lets what runs finish, and later calls reject',
    async run(harness) {
      const db = await harness.open()
      const table = await createLedger(harness, db)
      const held = await holdConnection(harness, db, (sql) => put(sql, table, 1))
      try {
        const closing = background(db.close())
        assert.ok((await rejection(db.ping())) instanceof DatabaseUnavailable)
        await held.letGo()
        await inTime(harness, closing)
      } finally {
        await held.letGo()
      }
      assert.ok((await rejection(db.transaction(async () => {}))) instanceof DatabaseUnavailable)
      assert.deepEqual(await stored(await harness.open(), table), [1])
    },
  },
]
