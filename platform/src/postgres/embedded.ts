import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { type FolderLock, lockFolder } from '../process/folder-lock.ts'
import type { Log } from '../process/logs.ts'
import { StartError } from '../process/start-error.ts'
import { findPackage, platformPackage, prepareBinaries } from './embedded-binaries.ts'
import { ensureCluster, superuser } from './embedded-cluster.ts'
import { stopLeftover } from './embedded-leftover.ts'
import { choosePlace } from './embedded-place.ts'
import { startServer } from './embedded-server.ts'
import { type ChildUser, chooseUser } from './embedded-user.ts'

export interface EmbeddedPostgresOptions {
  /** A folder for this alone, made when it is not there. */
  dataDir: string
  log: Log
  /** Refuses to make a database where there is none: whoever calls knows that there was one. */
  mustExist?: boolean
  /** Told each time the server ended by itself; it is being started again on the same port. */
  onCrash?: (reason: string) => void
  /** As root: whom PostgreSQL runs as. Without it `nobody`, or the owner of the data that is there. */
  runAs?: ChildUser
  /** As root: where the database goes when that user can't reach `dataDir`. */
  elsewhere?: string
  /** The npm package with the binaries; without it the one for this platform. */
  packageName?: string
  /** A free TCP port, asked for again when it was taken meanwhile. */
  choosePort?: () => Promise<number>
  startTimeoutMs?: number
  /** How long each step of a stop may take: fast, immediate, kill. */
  stopTimeoutMs?: number
}

export interface EmbeddedPostgres {
  /** For `connectDatabase`; the same until `stop`, across restarts. Holds the password. */
  readonly url: string
  /** Of the postmaster; undefined while it is down. */
  pid(): number | undefined
  stop(): Promise<void>
}

/**
 * Starts a real PostgreSQL as a child process, from npm's binaries, on a free port of 127.0.0.1; resolves when it
 * answers. Rejects with `StartError`, one sentence, when it can't; what lies in the data folder is then as it was.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { log, elsewhere = '/var/lib/parley' } = options
  const locks: FolderLock[] = []
  const release = async () => {
    for (const lock of locks) await lock.release()
  }
  /** Two Parleys on one data folder must not both choose where its database lies. */
  const hold = async (folder: string) => {
    const lock = await lockFolder(folder).catch((error: NodeJS.ErrnoException) => {
      throw new StartError(
        error.code === 'EACCES' || error.code === 'EPERM' || error.code === 'EROFS'
          ? `${folder} can't be written by this user`
          : `${folder} can't be locked (${error.message}): choose one on a local disk`,
      )
    })
    if (lock === null) throw new StartError(`another Parley uses the database in ${folder}`)
    locks.push(lock)
  }
  try {
    const dataDir = await makeFolder(options.dataDir)
    await hold(dataDir)
    const user = await chooseUser(options.runAs)
    const place = await choosePlace({ dataDir, user, elsewhere, log })
    if (place.folder !== dataDir) await hold(place.folder)
    const binaries = await prepareBinaries({
      found: await findPackage(options.packageName ?? platformPackage()),
      folder: place.folder,
      user: place.user,
      log,
    })
    await stopLeftover(join(place.folder, 'data'), log)
    const password = await ensureCluster(place, binaries, options.mustExist === true)
    const server = await startServer({
      place,
      binaries,
      log,
      startTimeoutMs: options.startTimeoutMs ?? 60_000,
      stopTimeoutMs: options.stopTimeoutMs ?? 10_000,
      ...(options.onCrash === undefined ? {} : { onCrash: options.onCrash }),
      ...(options.choosePort === undefined ? {} : { choosePort: options.choosePort }),
    })
    return {
      url: `postgresql://${superuser}:${password}@127.0.0.1:${server.port}/postgres`,
      pid: () => server.pid(),
      async stop() {
        await server.stop()
        await release()
      },
    }
  } catch (error) {
    await release()
    throw error
  }
}

async function makeFolder(path: string): Promise<string> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
    return await realpath(path)
  } catch (error) {
    throw new StartError(`the folder ${path} can't be made: ${(error as Error).message}`)
  }
}
