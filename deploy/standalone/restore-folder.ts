import { chmod, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { lockDataFolder } from '@parley/platform/process/data-folder'
import { lockFile } from '@parley/platform/process/folder-lock'
import { StartError } from '@parley/platform/process/start-error'
import { syncFolder } from '@parley/platform/process/write-durably'

/** In the place of the marker that makes a folder Parley's: until it is whole, no Parley starts on it. */
const unfinishedFile = 'restore-unfinished.json'
const markerFile = 'parley.json'

export interface NewFolder {
  /** Makes it a data folder, in one step. Everything in it is whole and on disk. */
  finish(): Promise<void>
  /** Lets go of its lock. */
  release(): Promise<void>
}

/**
 * Takes a folder that is empty or not there for a restore; nothing in a folder is ever overwritten. Whatever ends the
 * restore before `finish` leaves a folder that says so by the name of a file, and that is refused by every start and by
 * every restore. Rejects with StartError.
 */
export async function takeNewFolder(dataDir: string): Promise<NewFolder> {
  await refuseContents(dataDir, [])
  const lock = await lockDataFolder(dataDir)
  try {
    await refuseContents(dataDir, [markerFile])
    await rename(join(dataDir, markerFile), join(dataDir, unfinishedFile))
    await syncFolder(dataDir)
    /* As root: PostgreSQL's own user must pass here, which a start sees to only where the marker is. */
    if (process.getuid?.() === 0) await chmod(dataDir, 0o711)
  } catch (error) {
    await lock.release()
    throw error
  }
  return {
    async finish() {
      await chmod(dataDir, 0o700)
      await rename(join(dataDir, unfinishedFile), join(dataDir, markerFile))
      await syncFolder(dataDir)
    },
    release: () => lock.release(),
  }
}

async function refuseContents(dataDir: string, expected: readonly string[]): Promise<void> {
  const entries = await readdir(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new StartError(`the data folder ${dataDir} can't be used: ${error.message}`)
  })
  const found = entries.filter((entry) => !lockFile.test(entry) && !expected.includes(entry))
  if (found.includes(unfinishedFile)) {
    throw new StartError(
      `an earlier restore into ${dataDir} did not finish: remove that folder, or set PARLEY_DATA_DIR to another`,
    )
  }
  if (found.length === 0) return
  throw new StartError(
    `${dataDir} is not empty: a backup is restored into a new folder, so that nothing is overwritten; set PARLEY_DATA_DIR`,
  )
}
