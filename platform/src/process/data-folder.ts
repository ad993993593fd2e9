import { access, chmod, constants, mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { lockFile, lockFolder } from './folder-lock.ts'
import { StartError } from './start-error.ts'
import { writeDurably } from './write-durably.ts'

/** Marks a folder as Parley's. */
const markerFile = 'parley.json'
/** How the folder is laid out. A release reads its own format and those that it says here. */
const format = 1

/**
 * Makes the data folder when it is not there (mode 0700) and keeps it for this process until `release` or its end,
 * however that comes. Rejects with StartError, one sentence, and changes nothing, when another living process has it,
 * when it can't be written, or when it holds something else than Parley's data of a format that we know.
 */
export async function lockDataFolder(path: string): Promise<{ release(): Promise<void> }> {
  await makeFolder(path)
  const fresh = await checkContents(path)
  const lock = await lockFolder(path).catch((error: NodeJS.ErrnoException) => {
    throw new StartError(
      `the data folder ${path} can't be locked (${error.message}): choose one on a local disk`,
    )
  })
  if (lock === null) {
    throw new StartError(`the data folder ${path} is in use by another running Parley`)
  }
  try {
    // Again, since another may have made it its own before we had the lock.
    if (fresh && (await checkContents(path))) await makeOurs(path)
    return lock
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    if (!(await stat(path)).isDirectory()) throw new StartError(`${path} is a file, not a folder`)
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    if (error instanceof StartError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' || code === 'ENOTDIR') {
      throw new StartError(`the data folder ${path} can't be made: a file is in its place`)
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      throw new StartError(`the data folder ${path} can't be written by this user`)
    }
    // What Node says of a folder to be made on a read-only file system.
    if (code === 'ENOENT') {
      throw new StartError(`the data folder ${path} can't be made: its place is read-only or gone`)
    }
    throw new StartError(`the data folder ${path} can't be used: ${message}`)
  }
}

/** True when it is empty and waits to be made ours. */
async function checkContents(path: string): Promise<boolean> {
  const entries = (await readdir(path)).filter(
    (entry) => !lockFile.test(entry) && !/^parley\.json\.[0-9a-f]+\.new$/.test(entry),
  )
  if (entries.length === 0) return true
  if (!entries.includes(markerFile)) {
    throw new StartError(
      `the folder ${path} holds something else than Parley's data: choose an empty one`,
    )
  }
  const marker = join(path, markerFile)
  const found = formatOf(await readFile(marker, 'utf8').catch(() => ''))
  if (found === undefined) throw new StartError(`${marker} is damaged: it names no format`)
  if (found > format) {
    throw new StartError(
      `the data folder ${path} was written by a newer Parley (format ${found}; this one reads ${format})`,
    )
  }
  return false
}

function formatOf(text: string): number | undefined {
  try {
    const marker = JSON.parse(text) as { format?: unknown } | null
    const found = marker?.format
    return Number.isSafeInteger(found) && (found as number) >= 1 ? (found as number) : undefined
  } catch {
    return undefined
  }
}

async function makeOurs(path: string): Promise<void> {
  // What lies in it is for its owner only, also where the folder was made by hand.
  await chmod(path, 0o700).catch(() => {})
  await writeDurably(join(path, markerFile), `${JSON.stringify({ format })}\n`, 0o600)
}
