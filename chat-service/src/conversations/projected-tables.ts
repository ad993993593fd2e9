import type { Database } from '@parley/platform/ports/database'
import type { LogRecord } from '@parley/platform/ports/log'
import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import type { Cursor } from '@parley/proto/cursor-records'
// biome-ignore lint/style/noRestrictedImports: reads are tried on tables as storage-worker itself writes them.
import { applyCursors } from '../../../storage-worker/src/cursors/apply.ts'
// biome-ignore lint/style/noRestrictedImports: the same.
import { migrate } from '../../../storage-worker/src/migrations/migrate.ts'
// biome-ignore lint/style/noRestrictedImports: the same.
import { decodeBatches } from '../../../storage-worker/src/projection/batch.ts'
// biome-ignore lint/style/noRestrictedImports: the same.
import { projectBatch } from '../../../storage-worker/src/projection/transaction.ts'
// biome-ignore lint/style/noRestrictedImports: the same.
import { epochId, histories, idOf } from '../../../storage-worker/src/testing/histories.ts'
// biome-ignore lint/style/noRestrictedImports: the same.
import { emptyDatabase } from '../../../storage-worker/src/testing/read-tables.ts'

export { histories, idOf }

/** For tests: a database that storage-worker's projection fills from records of the events log. */
export interface ProjectedTables {
  db: Database
  /** Begins anew with what these records say. */
  project(records: readonly LogRecord[]): Promise<void>
  read(cursors: readonly Cursor[]): Promise<void>
  close(): Promise<void>
}

export async function openProjectedTables(): Promise<ProjectedTables> {
  const { db, close }: TestDatabase = await openTestDatabase()
  await migrate(db)
  return {
    db,
    async project(records) {
      await emptyDatabase(db, { number: 1, id: epochId, partitions: 1 })
      const options = { partition: 0, epoch: 1, epochId, maxEvents: 10 }
      for (const batch of decodeBatches(records, options)) await projectBatch(db, batch)
    },
    async read(cursors) {
      for (const cursor of cursors) await db.transaction((sql) => applyCursors(sql, [cursor]))
    },
    close,
  }
}
