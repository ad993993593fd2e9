import { resolve } from 'node:path'
import { createLogger } from '@parley/platform/process/logs'
import { runMain } from '@parley/platform/process/run-main'
import { secretValues } from '@parley/platform/process/settings'
import { destination } from 'pino'
import { readCommand, runCommand } from './admin-commands.ts'
import { openDatabase } from './admin-database.ts'
import { readStandaloneSettings, standaloneSettings } from './settings.ts'

/** `npm run admin -- COMMAND`: what whoever runs a standalone does to its accounts, whether it runs or not. */
runMain('parley admin', async (lifecycle) => {
  const command = readCommand(process.argv.slice(2))
  const { settings } = readStandaloneSettings(process.env)
  const logger = createLogger({
    name: 'admin',
    level: settings.logLevel,
    secrets: secretValues(standaloneSettings, settings),
    destination: destination({ dest: 2, sync: true }),
  })
  lifecycle.useLog(logger)
  const dataDir = resolve(settings.dataDir)
  const database = await openDatabase({ ...settings, dataDir }, lifecycle, logger)
  await runCommand(command, {
    database,
    now: Date.now,
    print: (line) => process.stdout.write(`${line}\n`),
  })
  process.exit((await lifecycle.stop()) ? 0 : 1)
})
