import { join } from 'node:path'
import { accountEntities } from '@parley/chat-service/accounts/entities'
import { type LmdbLog, openLmdbLog } from '@parley/platform/lmdb/log'
import type { Database } from '@parley/platform/ports/database'
import { LogUnusable } from '@parley/platform/ports/log'
import { connectDatabase } from '@parley/platform/postgres/connect'
import { startEmbeddedPostgres } from '@parley/platform/postgres/embedded'
import type { Lifecycle } from '@parley/platform/process/lifecycle'
import type { Logger } from '@parley/platform/process/logs'
import { StartError } from '@parley/platform/process/start-error'
import { topics } from '@parley/proto/record-headers'
import { migrate } from '@parley/storage-worker/migrations/migrate'
import type { StandaloneSettings } from './settings.ts'

export interface Engines {
  log: LmdbLog
  /** Migrated. */
  db: Database
}

/** Storage transactions hold one connection a partition; the rest is for requests. */
const requestConnections = 12

/**
 * The embedded log and database, in the data folder, which the caller has locked. A log that holds records belongs to
 * a database with accounts, so without that database it is refused, unless `rebuild` says that it is known to be lost.
 */
export async function startEngines(
  settings: StandaloneSettings,
  lifecycle: Lifecycle,
  logger: Logger,
  options: { rebuild?: boolean } = {},
): Promise<Engines> {
  const log = await openLog(settings, lifecycle)
  const mustExist = options.rebuild !== true && (await isUsed(log))
  const db = await startDatabase(settings, lifecycle, { logger, mustExist })
  return { log, db }
}

async function isUsed(log: LmdbLog): Promise<boolean> {
  for (let partition = 0; partition < log.partitions(topics.commands); partition++) {
    const { next } = await log.range(topics.commands, partition)
    if (next > 0) return true
  }
  return false
}

async function openLog(settings: StandaloneSettings, lifecycle: Lifecycle): Promise<LmdbLog> {
  const { partitions } = settings
  try {
    const log = await openLmdbLog({
      path: join(settings.dataDir, 'log'),
      topics: {
        [topics.commands]: partitions,
        [topics.events]: partitions,
        [topics.cursors]: partitions,
        [topics.sessions]: partitions,
      },
      maxRecordBytes: 1024 * 1024,
      maxReadBytes: 4 * 1024 * 1024,
    })
    lifecycle.add('log', () => log.close(), 15_000)
    return log
  } catch (error) {
    if (error instanceof LogUnusable) throw new StartError(error.message)
    throw error
  }
}

async function startDatabase(
  settings: StandaloneSettings,
  lifecycle: Lifecycle,
  { logger, mustExist }: { logger: Logger; mustExist: boolean },
): Promise<Database> {
  const url =
    settings.databaseUrl ?? (await startPostgres(settings, lifecycle, { logger, mustExist }))
  const db = await connectDatabase({
    url,
    entities: accountEntities,
    poolMax: settings.partitions + requestConnections,
    applicationName: 'parley-standalone',
    onWarning: (message) => logger.warn(message),
  })
  lifecycle.add('database connections', () => db.close(), 15_000)
  const { ran } = await migrate(db)
  if (ran.length > 0) logger.info({ ran }, 'schema migrated')
  return db
}

async function startPostgres(
  settings: StandaloneSettings,
  lifecycle: Lifecycle,
  { logger, mustExist }: { logger: Logger; mustExist: boolean },
): Promise<string> {
  const postgres = await startEmbeddedPostgres({
    dataDir: join(settings.dataDir, 'postgres'),
    log: logger,
    mustExist,
  })
  lifecycle.add('PostgreSQL', () => postgres.stop(), 40_000)
  return postgres.url
}
