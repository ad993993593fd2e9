import { MikroORM, type Options } from '@mikro-orm/postgresql'
import { type Database, DatabaseUnavailable } from '@parley/platform/ports/database'
import { StartError } from '../process/start-error.ts'
import type { PgClient, PgPool, PgTypes } from './pg-types.ts'
import { rowTypes } from './row-types.ts'
import { checkServer } from './server-check.ts'
import { createSessions } from './sessions.ts'

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
  const sessions = createSessions({
    pool,
    types: rowTypes(pool.options.types),
    waitingMax,
    pingTimeoutMs: statementTimeoutMs,
    answerTimeoutMs,
  })

  const database: Database = {
    orm,
    transaction: (work) => sessions.within('begin isolation level read committed read write', work),
    snapshot: (work) => sessions.within('begin isolation level repeatable read read only', work),
    ping: () => sessions.ping(),
    async close() {
      sessions.close(answerTimeoutMs)
      await orm.close(true)
      // MikroORM ends the pool only when it has used it itself.
      if (!pool.ending) await pool.end()
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
