import { setTimeout as sleep } from 'node:timers/promises'
import { type Database, DatabaseUnavailable, type Sql } from '@parley/platform/ports/database'
import type { DatabaseLimits } from './database-harness.ts'

/** Something wrong between suite and adapter, and the rule whose checks must notice. */
export interface DatabaseFault {
  name: string
  rule: string
  /** Only a crash of the server can show it. */
  breaks?: true
  wrap?(db: Database): Database
  limits?(limits: DatabaseLimits): DatabaseLimits
}

type Work<T> = (sql: Sql) => Promise<T>

/** Runs a statement first. */
function after(statement: string, run: Database['transaction']): Database['transaction'] {
  return (work) =>
    run(async (sql) => {
      await sql.query(statement)
      return work(sql)
    })
}

/** Changes how each statement is asked and answered. */
function asking(db: Database, change: (sql: Sql) => Sql): Database {
  return {
    ...db,
    transaction: (work) => db.transaction((sql) => work(change(sql))),
    snapshot: (work) => db.snapshot((sql) => work(change(sql))),
  }
}

export const databaseFaults: readonly DatabaseFault[] = [
  {
    name: 'a commit that is confirmed before it is on disk',
    rule: 'DB1',
    breaks: true,
    wrap: (db) => ({
      ...db,
      transaction: after('set local synchronous_commit = off', db.transaction),
    }),
  },
  {
    name: 'statements that commit by themselves',
    rule: 'DB2',
    wrap: (db) => ({
      ...db,
      transaction: (work) =>
        work({ query: (...asked) => db.transaction((sql) => sql.query(...asked)) }),
    }),
  },
  {
    name: 'statements that commit by themselves, in a crash',
    rule: 'DB1',
    breaks: true,
    wrap: (db) => ({
      ...db,
      transaction: (work) =>
        work({ query: (...asked) => db.transaction((sql) => sql.query(...asked)) }),
    }),
  },
  {
    name: 'work that throws and is committed all the same',
    rule: 'DB2',
    wrap: (db) => ({
      ...db,
      async transaction<T>(work: Work<T>): Promise<T> {
        let thrown: { error: unknown } | undefined
        const result = await db.transaction((sql) =>
          work(sql).catch((error): undefined => {
            thrown = { error }
          }),
        )
        if (thrown !== undefined) throw thrown.error
        return result as T
      },
    }),
  },
  {
    name: 'a commit that became a rollback and is taken for a commit',
    rule: 'DB2',
    wrap: (db) => ({
      ...db,
      async transaction<T>(work: Work<T>): Promise<T> {
        let result: T | undefined
        await db
          .transaction(async (sql) => {
            result = await work(sql)
          })
          .catch((error: Error) => {
            if (!error.message.includes('rolled back')) throw error
          })
        return result as T
      },
    }),
  },
  {
    name: 'work run again after a deadlock',
    rule: 'DB2',
    wrap: (db) => ({
      ...db,
      transaction: (work) =>
        db.transaction(work).catch((error) => {
          if (error.code !== '40P01') throw error
          return db.transaction(work)
        }),
    }),
  },
  {
    name: 'a transaction that sees only what was there at its start',
    rule: 'DB3',
    wrap: (db) => ({
      ...db,
      transaction: after('set transaction isolation level repeatable read', db.transaction),
    }),
  },
  {
    name: 'statements that overtake each other',
    rule: 'DB3',
    wrap: (db) =>
      asking(db, (sql) => {
        let count = 0
        return {
          async query<Row>(...asked: Parameters<Sql['query']>) {
            // Every other one waits a little before it is asked.
            if (count++ % 2 === 0) await sleep(20)
            return sql.query<Row>(...asked)
          },
        }
      }),
  },
  {
    name: 'a snapshot that reads committed',
    rule: 'DB4',
    wrap: (db) => ({ ...db, snapshot: after('set transaction read only', db.transaction) }),
  },
  {
    name: 'a snapshot that can write',
    rule: 'DB4',
    wrap: (db) => ({
      ...db,
      snapshot: after('set transaction isolation level repeatable read', db.transaction),
    }),
  },
  {
    name: 'names that are ignored',
    rule: 'DB5',
    wrap: (db) => asking(db, (sql) => ({ query: (text, params) => sql.query(text, params) })),
  },
  {
    name: 'a name that stands for the first text it came with',
    rule: 'DB5',
    wrap(db) {
      const texts = new Map<string, string>()
      return asking(db, (sql) => ({
        query(text, params, name) {
          if (name !== undefined && !texts.has(name)) texts.set(name, text)
          return sql.query(texts.get(name ?? '') ?? text, params, name)
        },
      }))
    },
  },
  {
    name: 'int8 as string',
    rule: 'DB6',
    wrap: (db) =>
      asking(db, (sql) => ({
        async query<Row>(...asked: Parameters<Sql['query']>) {
          const rows = await sql.query<Record<string, unknown>>(...asked)
          return rows.map((row) =>
            Object.fromEntries(
              Object.entries(row).map(([key, value]) => [
                key,
                typeof value === 'number' ? String(value) : value,
              ]),
            ),
          ) as Row[]
        },
      })),
  },
  {
    name: 'statements without a limit of time',
    rule: 'DB7',
    wrap: (db) => ({
      ...db,
      transaction: after('set local statement_timeout = 0', db.transaction),
    }),
  },
  {
    name: 'a connection lost with each failure',
    rule: 'DB7',
    wrap: (db) => ({
      ...db,
      transaction: (work) =>
        db.transaction(work).catch((error) => {
          db.transaction(() => sleep(5_000)).catch(() => {})
          throw error
        }),
    }),
  },
  {
    name: 'a wait for a connection without a limit',
    rule: 'DB7',
    limits: (limits) => ({ ...limits, acquireTimeoutMs: 600_000 }),
  },
  {
    name: 'any number of calls that wait',
    rule: 'DB7',
    limits: ({ waitingMax: _, ...limits }) => limits,
  },
  {
    name: "the driver's own errors when the database is away",
    rule: 'DB8',
    wrap(db) {
      const bare = (error: unknown) => {
        throw error instanceof DatabaseUnavailable ? new Error(error.message) : error
      }
      return {
        ...db,
        transaction: (work) => db.transaction(work).catch(bare),
        snapshot: (work) => db.snapshot(work).catch(bare),
      }
    },
  },
  {
    name: 'a ping that asks nobody',
    rule: 'DB8',
    breaks: true,
    wrap: (db) => ({ ...db, ping: async () => {} }),
  },
  {
    name: 'giving up for good when the database was away once',
    rule: 'DB8',
    wrap(db) {
      let away: DatabaseUnavailable | undefined
      const once = async <T>(call: () => Promise<T>): Promise<T> => {
        if (away !== undefined) throw away
        return call().catch((error) => {
          if (error instanceof DatabaseUnavailable) away = error
          throw error
        })
      }
      return {
        ...db,
        ping: () => once(db.ping),
        transaction: (work) => once(() => db.transaction(work)),
      }
    },
  },
  {
    name: 'a close that closes nothing',
    rule: 'DB10',
    wrap: (db) => ({ ...db, close: async () => {} }),
  },
]
