import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { DatabaseCheck } from './database-harness.ts'
import { backendOf, rejection } from './database-ledger.ts'

/** How often each prepared statement of this connection has run. */
const preparedQuery = `select name, (generic_plans + custom_plans)::int as runs
  from pg_prepared_statements order by name`

export const queryChecks: DatabaseCheck[] = [
  {
    name: '[DB5] a named statement is prepared once a connection and used again by later transactions',
    async run(harness) {
      const db = await harness.open({ poolMax: 1 })
      for (const n of [1, 2, 3]) {
        const rows = await db.transaction((sql) =>
          sql.query('select $1::int + 1 as sum', [n], 'add one'),
        )
        assert.deepEqual(rows, [{ sum: n + 1 }])
      }
      await db.snapshot((sql) => sql.query('select $1::int + 1 as sum', [4], 'add one'))
      await db.transaction((sql) => sql.query('select $1::int as same', [5]))
      const prepared = await db.transaction((sql) => sql.query(preparedQuery))
      assert.deepEqual(prepared, [{ name: 'add one', runs: 4 }])
    },
  },
  {
    name: '[DB5] a named statement that failed works the next time, and on a new connection',
    async run(harness) {
      const db = await harness.open({ poolMax: 1 })
      const other = await harness.open()
      const divide = (by: number) =>
        db.transaction((sql) => sql.query('select 6 / $1::int as part', [by], 'divide'))
      assert.deepEqual(await divide(2), [{ part: 3 }])
      assert.equal((await rejection(divide(0))).code, '22012')
      assert.deepEqual(await divide(3), [{ part: 2 }])
      const first = await db.transaction(backendOf)
      await rejection(
        db.transaction(async (sql) => {
          await other.transaction((o) => o.query('select pg_terminate_backend($1)', [first]))
          await sql.query('select 1')
        }),
      )
      assert.deepEqual(await divide(6), [{ part: 1 }])
      assert.notEqual(await db.transaction(backendOf), first)
    },
  },
  {
    name: '[DB5] a name with another text is refused, never answered by the first text',
    async run(harness) {
      const db = await harness.open({ poolMax: 1 })
      await db.transaction((sql) => sql.query('select 1 as n', [], 'which'))
      await rejection(db.transaction((sql) => sql.query('select 2 as n', [], 'which')))
      const rows = await db.transaction((sql) => sql.query('select 1 as n', [], 'which'))
      assert.deepEqual(rows, [{ n: 1 }])
    },
  },
  {
    name: '[DB6] int8 comes as number, bytea as Buffer, uuid in lower case, absent as null, their lists too',
    async run(harness) {
      const db = await harness.open()
      const id = '0198C0DE-0000-7000-8000-00000000ABCD'
      const max = Number.MAX_SAFE_INTEGER
      const bytes = Buffer.from([0, 1, 92, 39, 255])
      for (const name of [undefined, 'types']) {
        const [row] = await db.snapshot((sql) =>
          sql.query<Record<string, unknown>>(
            `select $1::int8 as big, $2::bytea as bytes, $3::uuid as id, $4::text as text, count(*) as count,
               $5::bool as yes, null::int8 as no_int8, null::bytea as no_bytes, array[$1::int8, null, -1] as list,
               array[$3::uuid] as ids, $6::int8 as low, $7::jsonb as json`,
            [max, bytes, id, `quote ' " \\ ü 😀`, true, -max, JSON.stringify({ a: [1] })],
            name,
          ),
        )
        assert.ok(Buffer.isBuffer(row?.bytes))
        assert.deepEqual(row, {
          big: max,
          bytes,
          id: id.toLowerCase(),
          text: `quote ' " \\ ü 😀`,
          count: 1,
          yes: true,
          no_int8: null,
          no_bytes: null,
          list: [max, null, -1],
          ids: [id.toLowerCase()],
          low: -max,
          json: { a: [1] },
        })
      }
    },
  },
  {
    name: '[DB6] an int8 beyond 2^53 is refused, never rounded, and the connection goes on',
    async run(harness) {
      const db = await harness.open({ poolMax: 1 })
      const before = await db.transaction(backendOf)
      await rejection(db.snapshot((sql) => sql.query('select 9007199254740993::int8 as big')))
      assert.equal(await db.transaction(backendOf), before)
    },
  },
  {
    name: '[DB6] Uint8Array and large values go in and come out whole',
    async run(harness) {
      const db = await harness.open()
      const bytes = randomBytes(1 << 20)
      const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      const [row] = await db.snapshot((sql) =>
        sql.query<{ back: Buffer }>('select $1::bytea as back', [view]),
      )
      assert.ok(row?.back.equals(bytes))
    },
  },
  {
    name: '[DB6] one statement takes thousands of parameters',
    async run(harness) {
      const db = await harness.open()
      const numbers = Array.from({ length: 5_000 }, (_, n) => n)
      const places = numbers.map((n) => `($${n + 1}::int8)`).join(',')
      const rows = await db.snapshot((sql) =>
        sql.query<{ sum: number }>(
          `select sum(n)::int8 as sum from (values ${places}) v(n)`,
          numbers,
        ),
      )
      assert.deepEqual(rows, [{ sum: (5_000 * 4_999) / 2 }])
    },
  },
  {
    name: '[DB6] two statements in one text are refused, and neither is done',
    async run(harness) {
      const db = await harness.open()
      const two = `create table ${harness.schema}.one (); create table ${harness.schema}.two ()`
      assert.equal((await rejection(db.transaction((sql) => sql.query(two)))).code, '42601')
      const left = await db.snapshot((sql) =>
        sql.query('select tablename from pg_tables where schemaname = $1', [harness.schema]),
      )
      assert.deepEqual(left, [])
    },
  },
  {
    name: "[DB6] MikroORM's queries and ours share the connections",
    async run(harness) {
      const db = await harness.open({ poolMax: 1 })
      const ours = await db.transaction(backendOf)
      const [row] = await db.orm.em.fork().execute('select pg_backend_pid() as pid')
      assert.equal(row?.pid, ours)
    },
  },
]
