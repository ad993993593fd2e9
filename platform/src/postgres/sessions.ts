import { DatabaseUnavailable, type Sql } from '@parley/platform/ports/database'
import { StartError } from '../process/start-error.ts'
import type { PgClient, PgPool, PgTypes } from './pg-types.ts'
import { pinSql } from './pinned-sql.ts'
import { named, unavailable } from './unavailable.ts'

/** Transactions on connections of MikroORM's pool. */
export interface Sessions {
  /** Runs `work` between the statement `begin` and a commit, on one connection. */
  within<T>(begin: string, work: (sql: Sql) => Promise<T>): Promise<T>
  ping(): Promise<void>
  /** Takes no more calls; what still runs after `graceMs` loses its connection. */
  close(graceMs: number): void
}

export interface SessionsOptions {
  pool: PgPool
  types: PgTypes
  waitingMax: number
  pingTimeoutMs: number
  /** How long the client waits for an answer; a little longer than the server's own timeout. */
  answerTimeoutMs: number
}

export function createSessions(options: SessionsOptions): Sessions {
  const { pool, types, waitingMax, answerTimeoutMs } = options
  const inUse = new Set<PgClient>()
  let closing = false

  async function acquire(): Promise<PgClient> {
    if (closing) throw new DatabaseUnavailable('this database was closed')
    if (pool.waitingCount >= waitingMax) {
      throw new DatabaseUnavailable(`${waitingMax} calls wait for a database connection already`)
    }
    try {
      const client = await pool.connect()
      inUse.add(client)
      return client
    } catch (error) {
      const known = error instanceof StartError || error instanceof DatabaseUnavailable
      throw known ? error : unavailable(error)
    }
  }

  function release(client: PgClient, destroy: boolean): void {
    if (inUse.delete(client)) client.release(destroy)
  }

  async function command(client: PgClient, text: string): Promise<string> {
    try {
      return (await client.query({ text, query_timeout: answerTimeoutMs })).command
    } catch (error) {
      throw named(error)
    }
  }

  return {
    async within(begin, work) {
      const client = await acquire()
      const sql = pinSql({ client, types, answerTimeoutMs })
      let known = false
      try {
        await command(client, begin)
        const result = await work(sql)
        await sql.end()
        const tag = await command(client, 'commit')
        known = true
        // PostgreSQL answers the commit of a failed transaction with ROLLBACK and no error.
        if (tag !== 'COMMIT') throw new Error('a statement of this transaction failed: rolled back')
        return result
      } catch (error) {
        await sql.end()
        if (!known && !sql.broken && !(error instanceof DatabaseUnavailable)) {
          known = await command(client, 'rollback').then(
            () => true,
            () => false,
          )
        }
        throw error
      } finally {
        // A connection whose state nobody knows is closed.
        release(client, !known)
      }
    },

    async ping() {
      const client = await acquire()
      let answered = false
      try {
        await client.query({ text: 'select 1', query_timeout: options.pingTimeoutMs })
        answered = true
      } catch (error) {
        throw unavailable(error)
      } finally {
        release(client, !answered)
      }
    },

    close(graceMs) {
      closing = true
      setTimeout(() => {
        for (const client of inUse) release(client, true)
      }, graceMs).unref()
    },
  }
}
