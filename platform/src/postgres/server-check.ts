import { DatabaseUnavailable } from '@parley/platform/ports/database'
import { StartError } from '../process/start-error.ts'
import type { PgClient } from './pg-types.ts'

const oldestMajor = 15

/** Settings without which a resolved transaction may be lost in a crash, and the values that keep it. */
const durable: Record<string, readonly string[]> = {
  fsync: ['on'],
  full_page_writes: ['on'],
  synchronous_commit: ['on', 'remote_apply'],
}

const question = `select current_setting('server_version_num')::int as version, pg_is_in_recovery() as standby,
  ${Object.keys(durable)
    .map((name) => `current_setting('${name}') as ${name}`)
    .join(', ')}`

/**
 * Run on each new connection, since behind one address another server may stand after a failover. Throws StartError
 * when the server is too old or not durable, DatabaseUnavailable when it is a standby: what that one shows may lag,
 * and [R6] forbids reading it.
 */
export async function checkServer(client: PgClient, answerTimeoutMs: number): Promise<void> {
  const { rows } = await client.query({ text: question, query_timeout: answerTimeoutMs })
  const server = rows[0] as Record<string, unknown> & { version: number; standby: boolean }
  const major = Math.floor(server.version / 10_000)
  if (major < oldestMajor) {
    throw new StartError(
      `the database is PostgreSQL ${major}; Parley needs ${oldestMajor} or newer (DATABASE_URL)`,
    )
  }
  for (const [name, allowed] of Object.entries(durable)) {
    const value = String(server[name])
    if (!allowed.includes(value)) {
      throw new StartError(
        `the database has ${name} = ${value}, so it could lose acknowledged messages; set it to ${allowed.join(' or ')}`,
      )
    }
  }
  if (server.standby)
    throw new DatabaseUnavailable('the database is away: this server is a standby')
}
