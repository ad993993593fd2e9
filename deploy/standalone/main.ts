import { resolve } from 'node:path'
import { createLogger } from '@parley/platform/process/logs'
import { runMain } from '@parley/platform/process/run-main'
import { secretValues } from '@parley/platform/process/settings'
import { readStandaloneSettings, standaloneSettings } from './settings.ts'
import { startStandalone } from './standalone.ts'

runMain('parley', async (lifecycle) => {
  const { settings, warnings } = readStandaloneSettings(process.env)
  const logger = createLogger({
    name: 'parley',
    level: settings.logLevel,
    secrets: secretValues(standaloneSettings, settings),
  })
  lifecycle.useLog(logger)
  for (const warning of warnings) logger.warn(warning)
  const dataDir = resolve(settings.dataDir)
  const { httpUrl, wsUrl } = await startStandalone({ ...settings, dataDir }, lifecycle, logger)
  process.stdout.write(`Parley is ready: ${httpUrl} (WebSocket ${wsUrl})\n`)
})
