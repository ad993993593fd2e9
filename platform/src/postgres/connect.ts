import { MikroORM, type Options } from '@mikro-orm/postgresql'
import { type Database, DatabaseUnavailable, type Sql } from '@parley/platform/ports/database'
import { StartError } from '../process/start-error.ts'
import type { PgClient, PgPool, PgTypes } from './pg-types.ts'
import { pinSql } from './pinned-sql.ts'
import { rowTypes } from './row-types.ts'
import { checkServer } from './server-check.ts'
import { isUnavailable, named, unavailable } from './unavailable.ts'

export interface ConnectOptions {
  /** `postgresql://user:password@host:port/database`, with what `pg` knows behind `?`, such as `sslmode`. */
  url: string
  entities?: NonNullable<Options['entities']>
  /** Connections, at most. MikroORM and `Sql` share them. */
  poolMax?: number
  /** Calls that may wait for a connection; the next is refused at once. */
  waitingMax?: number
  acquireTimeoutMs?: number
  statementTimeoutMs?: number
  /** A transaction in which nothing is asked for this long is ended by the server. */
  idleInTransactionTimeoutMs?: number
  /** Shown by the server in `pg_stat_activity`. */
  applicationName?: string
  /** What MikroORM warns of, such as a connection that died while idle. */
  onWarning?: (message: string) => void
  /** More of MikroORM's own options, such as `migrations`. */
  orm?: Partial<Options>
}

/** How much longer the client waits than the server's own statement timeout, so that the server speaks first. */
const answerGraceMs = 1_000

/**
 * Connects and checks the server. Rejects with `StartError` when the server is unfit (too old, syncs off, wrong
 * password, no such database) and with `DatabaseUnavailable` when it is away.
 */
export async function connectDatabase(options: ConnectOptions): Promise<Database> {
  const {
    poolMax = 10,
    waitingMax = 1_000,
    acquireTimeoutMs = 5_000,
    statementTimeoutMs = 10_000,
  } = options
  const answerTimeoutMs = statementTimeoutMs + answerGraceMs
  const orm = await openOrm({ ...options, poolMax, acquireTimeoutMs, statementTimeoutMs })
  const pool = (await orm.em.getConnection().getNativeClient()) as PgPool & {
    options: { types: PgTypes }
  }
  const types = rowTypes(pool.options.types)
  const inUse = new Set<PgClient>()
  let closing = false

  async function acquire(): Promise<PgClient> {
    if (closing) throw new DatabaseUnavailable('this database was closed')
    if (pool.waitingCount >= waitingMax) {
      throw new DatabaseUnavailable(`${waitingMax} calls wait for a database connection already`)
    }
    let client: PgClient
    try {
      client = await pool.connect()
    } catch (error) {
      throw error instanceof StartError || error instanceof DatabaseUnavailable
        ? error
        : unavailable(error)
    }
    inUse.add(client)
    return client
  }

  function release(client: PgClient, destroy: boolean): void {
    if (inUse.delete(client)) client.release(destroy)
  }

  async function within<T>(begin: string, work: (sql: Sql) => Promise<T>): Promise<T> {
    const client = await acquire()
    const sql = pinSql({ client, types, answerTimeoutMs })
    let finished = false
    try {
      await command(client, begin, answerTimeoutMs)
      const result = await work(sql)
      await sql.end()
      const tag = await command(client, 'commit', answerTimeoutMs)
      finished = true
      // PostgreSQL answers the commit of a failed transaction with ROLLBACK and no error.
      if (tag !== 'COMMIT') throw new Error('a statement of this transaction failed: rolled back')
      return result
    } catch (error) {
      if (!finished) finished = await rolledBack(client, sql, error)
      throw named(error)
    } finally {
      release(client, !finished)
    }
  }

  /** False when the connection is no longer in a known state. */
  async function rolledBack(
    client: PgClient,
    sql: { end(): Promise<void>; readonly broken: boolean },
    error: unknown,
  ): Promise<boolean> {
    await sql.end()
    if (sql.broken || isUnavailable(error)) return false
    try {
      await command(client, 'rollback', answerTimeoutMs)
      return true
    } catch {
      return false
    }
  }

  const database: Database = {
    orm,
    transaction: (work) => within('begin isolation level read committed read write', work),
    snapshot: (work) => within('begin isolation level repeatable read read only', work),
    async ping() {
      const client = await acquire()
      let answered = false
      try {
        await command(client, 'select 1', statementTimeoutMs)
        answered = true
      } catch (error) {
        throw unavailable(error)
      } finally {
        release(client, !answered)
      }
    },
    async close() {
      closing = true
      const deadline = setTimeout(() => {
        for (const client of inUse) release(client, true)
      }, answerTimeoutMs)
      await orm.close(true)
      // MikroORM ends the pool only when it has used it itself.
      if (!pool.ending) await pool.end()
      clearTimeout(deadline)
    },
  }

  try {
    await database.ping()
  } catch (error) {
    await database.close()
    throw wrongAccess(error) ?? error
  }
  return database
}

async function command(client: PgClient, text: string, timeoutMs: number): Promise<string> {
  return (await client.query({ text, query_timeout: timeoutMs })).command
}

async function openOrm(
  options: ConnectOptions & {
    poolMax: number
    acquireTimeoutMs: number
    statementTimeoutMs: number
  },
): Promise<MikroORM> {
  const { statementTimeoutMs, idleInTransactionTimeoutMs = 60_000 } = options
  const target = parseUrl(options.url)
  return MikroORM.init({
    discovery: { warnWhenNoEntities: false },
    colors: false,
    logger: options.onWarning ?? (() => {}),
    // Creating a database that is not there would hide a wrong URL.
    ensureDatabase: false,
    ...options.orm,
    entities: options.entities ?? [],
    clientUrl: options.url,
    dbName: target.database,
    driverOptions: {
      // MikroORM reads host, user and database from the URL; pg also reads what stands behind the question mark.
      connectionString: options.url,
      max: options.poolMax,
      connectionTimeoutMillis: options.acquireTimeoutMs,
      statement_timeout: statementTimeoutMs,
      query_timeout: statementTimeoutMs + answerGraceMs,
      idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
      application_name: options.applicationName ?? 'parley',
      keepAlive: true,
      onConnect: (client: PgClient) => checkServer(client, statementTimeoutMs),
    },
  })
}

function parseUrl(text: string): { database: string } {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    throw new StartError(
      'DATABASE_URL is not a URL such as postgresql://user:password@host:5432/name',
    )
  }
  const database = decodeURIComponent(url.pathname.slice(1))
  if (!/^postgres(ql)?:$/.test(url.protocol) || database === '') {
    throw new StartError('DATABASE_URL must look like postgresql://user:password@host:5432/name')
  }
  return { database }
}

/** SQLSTATEs of a server that is there and will not have us: class 28 (who we are), 3D000 (no such database). */
function wrongAccess(error: unknown): StartError | undefined {
  if (!(error instanceof DatabaseUnavailable) || !(error.cause instanceof Error)) return undefined
  const { code } = error.cause as { code?: unknown }
  if (typeof code !== 'string' || !/^(28...|3D000)$/.test(code)) return undefined
  return new StartError(`the database refuses us: ${error.cause.message} (DATABASE_URL)`)
}
