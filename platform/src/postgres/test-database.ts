import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from '@parley/platform/ports/database'
import { createLogger } from '../process/logs.ts'
import { type ConnectOptions, connectDatabase } from './connect.ts'
import { startEmbeddedPostgres } from './embedded.ts'

export interface TestDatabaseOptions extends Omit<ConnectOptions, 'url'> {
  /** SQL run in order, in one transaction, before it is handed out: a migration's list. */
  statements?: readonly string[]
}

export interface TestDatabase {
  db: Database
  url: string
  /** Stops the server and removes its folder. */
  close(): Promise<void>
}

/** One embedded PostgreSQL in a temporary folder, for one test file: about 2 s to make. */
export async function openTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { statements = [], ...connect } = options
  const folder = await mkdtemp(join(tmpdir(), 'parley-test-'))
  const log = createLogger({ name: 'test-database', level: 'silent' })
  const server = await startEmbeddedPostgres({ dataDir: folder, log })
  const close = async () => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const db = await connectDatabase({ ...connect, url: server.url })
    const closeAll = async () => {
      await db.close()
      await close()
    }
    if (statements.length > 0) {
      await db.transaction(async (sql) => {
        for (const statement of statements) await sql.query(statement)
      })
    }
    return { db, url: server.url, close: closeAll }
  } catch (error) {
    await close()
    throw error
  }
}
