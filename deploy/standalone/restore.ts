import { join, resolve } from 'node:path'
import type { Lifecycle } from '@parley/platform/process/lifecycle'
import { createLogger, type Logger } from '@parley/platform/process/logs'
import { runMain } from '@parley/platform/process/run-main'
import { secretValues } from '@parley/platform/process/settings'
import { StartError } from '@parley/platform/process/start-error'
import { writeDurably } from '@parley/platform/process/write-durably'
import { beginEpoch } from '@parley/storage-worker/epochs'
import { destination } from 'pino'
import { failWhenInterrupted } from './archive/interrupted.ts'
import { keySecretToKeep } from './archive/key-secret.ts'
import { checkRelease, loadArchive } from './archive/load.ts'
import { type Archive, openArchive } from './archive/read-archive.ts'
import { startEngines } from './engines.ts'
import { takeNewFolder } from './restore-folder.ts'
import { readStandaloneSettings, type StandaloneSettings, standaloneSettings } from './settings.ts'

/** `npm run restore -- FILE`: a new data folder of what a backup holds, with a log of its own ([R15]). */
runMain('parley restore', async (lifecycle) => {
  const [file, ...more] = process.argv.slice(2)
  if (file === undefined || more.length > 0) {
    throw new StartError('name the backup, and nothing else: npm run restore -- FILE')
  }
  const read = readStandaloneSettings(process.env)
  const settings = { ...read.settings, dataDir: resolve(read.settings.dataDir) }
  const logger = createLogger({
    name: 'restore',
    level: settings.logLevel,
    secrets: secretValues(standaloneSettings, settings),
    destination: destination({ dest: 2, sync: true }),
  })
  lifecycle.useLog(logger)
  const sentence = `the restore into ${settings.dataDir} was not finished`
  const told = await failWhenInterrupted(lifecycle, sentence, async () => {
    const archive = await openArchive(resolve(file))
    lifecycle.add('backup', () => archive.close(), 5_000)
    return restore(archive, settings, { lifecycle, logger })
  })
  const clean = await lifecycle.stop()
  process.stdout.write(`${told}\n`)
  process.exit(clean ? 0 : 1)
})

async function restore(
  archive: Archive,
  settings: StandaloneSettings,
  { lifecycle, logger }: { lifecycle: Lifecycle; logger: Logger },
): Promise<string> {
  const { dataDir } = settings
  checkRelease(archive)
  const secret = keySecretToKeep(archive.header.keySecret, settings.keySecret)
  const folder = await takeNewFolder(dataDir)
  let whole = false
  /* After the engines: nothing of the folder is open any more when it becomes one. */
  const leave = async () => {
    if (whole) await folder.finish()
    await folder.release()
  }
  lifecycle.add('data folder', leave, 5_000)
  if (secret !== undefined) await writeDurably(join(dataDir, 'key-secret'), `${secret}\n`, 0o600)
  const { db, log } = await startEngines(settings, lifecycle, logger)
  const loaded = await loadArchive(db, archive, lifecycle.stopping)
  await beginEpoch(db, log)
  lifecycle.stopping.throwIfAborted()
  whole = true
  const counts = [...loaded].map(([name, rows]) => `${name} ${rows}`).join(', ')
  return `${dataDir} holds the backup of ${archive.header.madeAt}: ${counts}.`
}
