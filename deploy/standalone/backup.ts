import { resolve } from 'node:path'
import { connectDatabase } from '@parley/platform/postgres/connect'
import type { Lifecycle } from '@parley/platform/process/lifecycle'
import { createLogger } from '@parley/platform/process/logs'
import { runMain } from '@parley/platform/process/run-main'
import { secretValues } from '@parley/platform/process/settings'
import { StartError } from '@parley/platform/process/start-error'
import { destination } from 'pino'
import { isRunning, requireData } from './admin-database.ts'
import { linkTo } from './admin-link.ts'
import { dumpLines } from './archive/dump.ts'
import { failWhenInterrupted } from './archive/interrupted.ts'
import { keySecretToArchive } from './archive/key-secret.ts'
import { refuseExisting, writeArchive } from './archive/write-archive.ts'
import { readStandaloneSettings, type StandaloneSettings, standaloneSettings } from './settings.ts'

/** A disk may hold the writing up for long; the snapshot waits. */
const bounds = { statementTimeoutMs: 60_000, idleInTransactionTimeoutMs: 600_000 }

/** `npm run backup -- FILE`: one file of all that a standalone keeps, while it runs. */
runMain('parley backup', async (lifecycle) => {
  const [file, ...more] = process.argv.slice(2)
  if (file === undefined || more.length > 0) {
    throw new StartError('name the file to write, and nothing else: npm run backup -- FILE')
  }
  const { settings } = readStandaloneSettings(process.env)
  const logger = createLogger({
    name: 'backup',
    level: settings.logLevel,
    secrets: secretValues(standaloneSettings, settings),
    destination: destination({ dest: 2, sync: true }),
  })
  lifecycle.useLog(logger)
  const work = () => backUp(resolve(file), settings, lifecycle)
  const told = await failWhenInterrupted(lifecycle, 'the backup was not finished', work)
  process.stdout.write(`${told}\n`)
  process.exit((await lifecycle.stop()) ? 0 : 1)
})

async function backUp(
  file: string,
  settings: StandaloneSettings,
  lifecycle: Lifecycle,
): Promise<string> {
  await refuseExisting(file)
  const dataDir = resolve(settings.dataDir)
  await requireData(dataDir)
  if (!(await isRunning(dataDir))) {
    throw new StartError(
      `no Parley runs on ${dataDir}: a backup is taken while it runs; of a stopped one copy the whole folder`,
    )
  }
  const link = await linkTo(dataDir)
  const { url } = await link.ask('/database')
  const db = await connectDatabase({ url, poolMax: 1, applicationName: 'parley-backup', ...bounds })
  lifecycle.add('database connections', () => db.close(), 10_000)
  await link.ask('/projected')
  const counts: string[] = []
  const { bytes } = await db.snapshot(async (sql) => {
    const lines = dumpLines(sql, {
      keySecret: await keySecretToArchive(sql, dataDir, settings.keySecret),
      madeAt: new Date(),
      onTable: (name, rows) => counts.push(`${name} ${rows}`),
    })
    return writeArchive(file, lines, lifecycle.stopping)
  })
  return `${file} is written, ${bytes} bytes: ${counts.join(', ')}.\nIt holds messages, password hashes and keys: keep it secret.`
}
