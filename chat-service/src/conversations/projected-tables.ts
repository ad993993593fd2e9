// biome-ignore-all lint/style/noRestrictedImports: tests try reads on tables as storage-worker itself writes them.
import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import type { Log, LogRecord } from '@parley/platform/ports/log'
import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import { createLogger } from '@parley/platform/process/logs'
import { createMetrics } from '@parley/platform/process/metrics'
import type { Cursor } from '@parley/proto/cursor-records'
import { recordSchema, topics } from '@parley/proto/record-headers'
import { createStorageWorker } from '../../../storage-worker/src/create.ts'
import { applyCursors } from '../../../storage-worker/src/cursors/apply.ts'
import { claimEpoch } from '../../../storage-worker/src/epochs.ts'
import { migrate } from '../../../storage-worker/src/migrations/migrate.ts'
import { decodeBatches } from '../../../storage-worker/src/projection/batch.ts'
import { projectBatch } from '../../../storage-worker/src/projection/transaction.ts'
import {
  entryFor,
  epochId,
  histories,
  idOf,
  recordOf,
} from '../../../storage-worker/src/testing/histories.ts'
import { emptyDatabase } from '../../../storage-worker/src/testing/read-tables.ts'
import { openTestLog } from '../../../storage-worker/src/testing/test-log.ts'

export { entryFor, histories, idOf, recordOf }

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

/** storage-worker as a process, on a log and tables of its own. */
export interface StorageStack {
  log: Log
  append(record: Pick<LogRecord, 'value'>, partition: number): Promise<void>
  close(): Promise<void>
}

export async function startStorage(
  { db }: ProjectedTables,
  bus: Bus,
  partitions: number,
): Promise<StorageStack> {
  const { log, close } = await openTestLog(partitions)
  await emptyDatabase(db, { number: 1, id: log.epoch, partitions })
  const epoch = await claimEpoch(db, log)
  const logger = createLogger({ name: 'storage', level: 'silent' })
  const worker = createStorageWorker({}, { log, db, bus, epoch, logger, metrics: createMetrics() })
  await worker.start()
  return {
    log,
    async append({ value }, partition) {
      await log.append(topics.events, partition, [{ headers: { schema: recordSchema }, value }])
    },
    async close() {
      await worker.stop()
      await close()
    },
  }
}
