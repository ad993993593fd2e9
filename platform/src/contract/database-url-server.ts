import { randomBytes } from 'node:crypto'
import type { Database } from '@parley/platform/ports/database'
import { connectDatabase } from '../postgres/connect.ts'
import type { DatabaseServer } from './database.ts'
import type { ServerControl } from './database-harness.ts'

const defaultDeadlineMs = 15_000

/**
 * Any PostgreSQL by its URL, as a superuser of a database that nobody else uses. Each check gets a schema of its own.
 * Without `control` the checks that break the server are to be skipped (`breakable: false`).
 */
export function serverAt(
  url: string,
  { control, stop = async () => {} }: { control?: ServerControl; stop?: () => Promise<void> } = {},
): DatabaseServer {
  return {
    async harness(fault = {}) {
      const schema = `check_${randomBytes(6).toString('hex')}`
      const opened: Database[] = []
      const admin = await connectDatabase({ url, poolMax: 1 })
      await admin.transaction((sql) => sql.query(`create schema ${schema}`))
      return {
        schema,
        deadlineMs: fault.deadlineMs ?? defaultDeadlineMs,
        ...(control === undefined ? {} : { server: control }),
        async open(limits = {}) {
          const db = await connectDatabase({ url, ...(fault.limits?.(limits) ?? limits) })
          opened.push(db)
          return fault.wrap?.(db) ?? db
        },
        async dispose() {
          await admin
            .transaction((sql) => sql.query(`drop schema if exists ${schema} cascade`))
            .catch(() => {})
          await Promise.all([admin, ...opened].map((db) => db.close().catch(() => {})))
        },
      }
    },
    stop,
  }
}
