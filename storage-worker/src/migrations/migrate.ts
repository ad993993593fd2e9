import { setTimeout as delay } from 'node:timers/promises'
import { Migrator } from '@mikro-orm/migrations'
import type { Database } from '@parley/platform/ports/database'
import { named } from '@parley/platform/postgres/unavailable'
import { StartError } from '@parley/platform/process/start-error'
import { migrationsList } from './migrations-list.ts'

/** `parley m` in ASCII: the advisory lock under which one process at a time changes the schema. */
const lockKey = '8097879414873333869'
const table = 'mikro_orm_migrations'
const lockWaitMs = 60_000
const lockRetryMs = 100

/**
 * Brings the schema up to this release; does nothing, in one short transaction, when it is. Any number of processes may
 * call it at once: one migrates, the others wait for it. All pending migrations commit together or not at all.
 * Rejects with `StartError` when the database knows a migration that this release doesn't, or when another process
 * has been migrating for a minute; with `DatabaseUnavailable` when the server is away.
 */
export async function migrate(db: Database): Promise<{ ran: string[] }> {
  const deadlineMs = Date.now() + lockWaitMs
  for (;;) {
    const state = await prepare(db)
    if (state === 'current') return { ran: [] }
    const ran = state === 'pending' ? await runPending(db) : undefined
    if (ran !== undefined) return { ran }
    if (Date.now() > deadlineMs) {
      throw new StartError(
        `another process has been changing the database's schema for ${lockWaitMs / 1000} s; look for its lock in pg_locks`,
      )
    }
    await delay(lockRetryMs)
  }
}

/**
 * Compares the database's migrations with this release's, and makes MikroORM's table where there is none: the migrator
 * would make it outside its transaction, and two of them would collide.
 */
function prepare(db: Database): Promise<'current' | 'pending' | 'locked'> {
  return db.transaction(async (sql) => {
    const [found] = await sql.query<{ there: boolean }>(
      'select to_regclass($1) is not null as there',
      [table],
    )
    if (found?.there !== true) {
      const [lock] = await sql.query<{ got: boolean }>(
        'select pg_try_advisory_xact_lock($1) as got',
        [lockKey],
      )
      if (lock?.got !== true) return 'locked'
      await sql.query(
        `create table if not exists ${table}
           (id serial primary key, name varchar(255) not null, executed_at timestamptz not null default current_timestamp)`,
      )
    }
    return compare(await sql.query<{ name: string }>(`select name from ${table} order by id`))
  })
}

function compare(done: { name: string }[]): 'current' | 'pending' {
  const known = new Set<string>(migrationsList.map((m) => m.name))
  const unknown = done.find((m) => !known.has(m.name))
  if (unknown !== undefined) {
    throw new StartError(
      `the database is newer than this release: it has the migration ${unknown.name}; start the release that made it, or a later one`,
    )
  }
  return done.length === known.size ? 'current' : 'pending'
}

/** The names of the migrations that ran; undefined when another process has the lock. */
async function runPending(db: Database): Promise<string[] | undefined> {
  const { em, config } = db.orm
  config.set('migrations', {
    ...config.get('migrations'),
    tableName: table,
    migrationsList: [...migrationsList],
    snapshot: false,
    silent: true,
    disableForeignKeys: false,
  })
  const connection = em.getConnection()
  try {
    return await connection.transactional(async (trx) => {
      const [lock] = await connection.execute<{ got: boolean }[]>(
        `select pg_try_advisory_xact_lock(${lockKey}) as got`,
        [],
        'all',
        trx,
      )
      if (lock?.got !== true) return undefined
      await connection.execute('set local statement_timeout = 0', [], 'run', trx)
      const ran = await new Migrator(em).up({ transaction: trx })
      return ran.map((m) => m.name)
    })
  } catch (error) {
    throw named(error)
  }
}
