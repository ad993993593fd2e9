import { createHash, randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Log } from '../process/logs.ts'
import { StartError } from '../process/start-error.ts'
import { writeDurably } from '../process/write-durably.ts'
import { type ChildUser, obstacle } from './embedded-user.ts'

/** Where the cluster and what belongs to it lie. `folder` is ours, `folder/data` is PostgreSQL's. */
export interface Place {
  folder: string
  user: ChildUser | undefined
}

export interface PlaceOptions {
  /** Resolved, made, and locked by the caller. */
  dataDir: string
  user: ChildUser | undefined
  /** Where the database goes when PostgreSQL's user can't reach `dataDir`. */
  elsewhere: string
  log: Log
}

/** Tells where the database really is, in the data folder that it belongs to. */
const pointerFile = 'location.json'

/**
 * Uses `dataDir` where PostgreSQL's user can come to it, else a folder under `elsewhere`, named in the log and in
 * `dataDir/location.json`. That name has a random part: a data folder made anew never meets the database of the one
 * before.
 */
export async function choosePlace(options: PlaceOptions): Promise<Place> {
  const { dataDir } = options
  const pointed = await readPointer(dataDir)
  if (pointed !== undefined) return { folder: pointed, user: await ownerOr(pointed, options.user) }
  if (options.user === undefined) return { folder: dataDir, user: undefined }

  const user = await ownerOr(dataDir, options.user)
  if (user === undefined) return { folder: dataDir, user }
  await openTo(dataDir, user)
  const parent = dirname(dataDir)
  if (await exists(join(parent, 'parley.json'))) await openTo(parent, user)
  const blocked = await obstacle(join(dataDir, 'data'), user)
  if (blocked === undefined) return { folder: dataDir, user }
  if (await exists(join(dataDir, 'data'))) {
    throw new StartError(
      `PostgreSQL runs as user ${user.uid}, who can't pass ${blocked} to its data in ${dataDir}`,
    )
  }
  return { folder: await moveOut(dataDir, blocked, { ...options, user }), user }
}

async function moveOut(
  dataDir: string,
  blocked: string,
  { elsewhere, log, user }: PlaceOptions & { user: ChildUser },
): Promise<string> {
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 12)
  const folder = join(elsewhere, `${hash}-${randomBytes(4).toString('hex')}`)
  await mkdir(folder, { recursive: true, mode: 0o711 })
  await openTo(folder, user)
  const stopped = await obstacle(join(folder, 'data'), user)
  if (stopped !== undefined) {
    throw new StartError(
      `PostgreSQL runs as user ${user.uid}, who can pass neither ${blocked} nor ${stopped}: choose another PARLEY_DATA_DIR, or set DATABASE_URL`,
    )
  }
  await writeDurably(join(folder, 'belongs-to.json'), `${JSON.stringify({ dataDir })}\n`, 0o600)
  await writeDurably(
    join(dataDir, pointerFile),
    `${JSON.stringify({ database: folder, why: `user ${user.uid} can't pass ${blocked}` })}\n`,
    0o600,
  )
  log.warn(
    { database: folder, dataDir, blocked },
    `PostgreSQL does not run as root and its user can't pass ${blocked}: the database lies in ${folder}`,
  )
  return folder
}

async function readPointer(dataDir: string): Promise<string | undefined> {
  const path = join(dataDir, pointerFile)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new StartError(`${path} can't be read: ${(error as Error).message}`)
  }
  const folder = parsePointer(text)
  if (folder === undefined) throw new StartError(`${path} is damaged: it names no folder`)
  if (!(await exists(folder))) {
    throw new StartError(`${path} says that the database lies in ${folder}, which is not there`)
  }
  return folder
}

function parsePointer(text: string): string | undefined {
  try {
    const { database } = JSON.parse(text) as { database?: unknown }
    return typeof database === 'string' ? database : undefined
  } catch {
    return undefined
  }
}

/** Data that is there belongs to whom it ran as; as root we go on as that user. */
async function ownerOr(
  folder: string,
  user: ChildUser | undefined,
): Promise<ChildUser | undefined> {
  if (user === undefined) return undefined
  const data = await stat(join(folder, 'data')).catch(() => undefined)
  return data === undefined || data.uid === 0 ? user : { uid: data.uid, gid: data.gid }
}

/** Lets the user pass a folder of root's, not list it; one that another group uses stays as it is. */
async function openTo(folder: string, user: ChildUser): Promise<void> {
  const { uid, gid, mode } = await stat(folder)
  if (uid !== 0 || (mode & 0o001) !== 0) return
  if (gid !== user.gid) {
    if ((mode & 0o070) !== 0) return
    await chown(folder, uid, user.gid)
  }
  await chmod(folder, (mode & 0o777) | 0o010)
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
