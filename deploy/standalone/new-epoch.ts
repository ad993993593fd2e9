import { resolve } from 'node:path'
import { lockDataFolder } from '@parley/platform/process/data-folder'
import { createLogger } from '@parley/platform/process/logs'
import { runMain } from '@parley/platform/process/run-main'
import { beginEpoch } from '@parley/storage-worker/epochs'
import { startEngines } from './engines.ts'
import { readStandaloneSettings } from './settings.ts'

/**
 * `npm run new-epoch`: [R15] takes a new log under an old database, once the old log is projected to its end or lost
 * for good. Nothing else may run on the data folder meanwhile.
 */
runMain('parley new-epoch', async (lifecycle) => {
  const { settings } = readStandaloneSettings(process.env)
  const logger = createLogger({ name: 'new-epoch', level: settings.logLevel })
  lifecycle.useLog(logger)
  const dataDir = resolve(settings.dataDir)
  const folder = await lockDataFolder(dataDir)
  lifecycle.add('data folder', () => folder.release(), 5_000)
  const engines = startEngines({ ...settings, dataDir }, lifecycle, logger, { rebuild: true })
  const { db, log } = await engines
  const number = await beginEpoch(db, log)
  process.stdout.write(`The log ${log.epoch} is epoch ${number} of this database.\n`)
  const clean = await lifecycle.stop()
  process.exit(clean ? 0 : 1)
})
