import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database } from '@parley/platform/ports/database'
import { connectDatabase } from '@parley/platform/postgres/connect'
import { lockDataFolder } from '@parley/platform/process/data-folder'
import { lockFolder } from '@parley/platform/process/folder-lock'
import type { Lifecycle } from '@parley/platform/process/lifecycle'
import type { Logger } from '@parley/platform/process/logs'
import { StartError } from '@parley/platform/process/start-error'
import { linkTo } from './admin-link.ts'
import { startEngines } from './engines.ts'
import type { StandaloneSettings } from './settings.ts'

/**
 * The database of a standalone, for a command: DATABASE_URL where that is set, that of the running process where one runs,
 * else the engines are started for as long as the command takes. `dataDir` is absolute. Rejects with StartError.
 */
export async function openDatabase(
  settings: StandaloneSettings,
  lifecycle: Lifecycle,
  logger: Logger,
): Promise<Database> {
  const { dataDir, databaseUrl } = settings
  if (databaseUrl !== undefined) return connect(databaseUrl, lifecycle)
  await requireData(dataDir)
  if (await isRunning(dataDir)) {
    const link = await linkTo(dataDir)
    const { url } = await link.ask('/database')
    return connect(url, lifecycle)
  }
  const folder = await lockDataFolder(dataDir)
  lifecycle.add('data folder', () => folder.release(), 5_000)
  const { db } = await startEngines(settings, lifecycle, logger)
  return db
}

/** Whether a living process has the folder. */
export async function isRunning(dataDir: string): Promise<boolean> {
  const lock = await lockFolder(dataDir).catch((error: Error) => {
    throw new StartError(`the data folder ${dataDir} can't be looked into: ${error.message}`)
  })
  await lock?.release()
  return lock === null
}

/** A wrong folder must not become a new one. */
export async function requireData(dataDir: string): Promise<void> {
  const there = await stat(join(dataDir, 'parley.json')).catch(() => undefined)
  if (there !== undefined) return
  throw new StartError(
    `there is no Parley data in ${dataDir}: set PARLEY_DATA_DIR, or start Parley there first`,
  )
}

async function connect(url: string, lifecycle: Lifecycle): Promise<Database> {
  const db = await connectDatabase({ url, poolMax: 2, applicationName: 'parley-command' })
  lifecycle.add('database connections', () => db.close(), 10_000)
  return db
}
