import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { StartError } from '../process/start-error.ts'
import { syncFolder, writeDurably } from '../process/write-durably.ts'
import type { Binaries } from './embedded-binaries.ts'
import type { Place } from './embedded-place.ts'
import { as } from './embedded-user.ts'

export const superuser = 'parley'

/**
 * Makes the cluster in `place.folder/data` where there is none and may be none, else checks that it is one of ours. Returns the
 * superuser's password. Rejects with StartError, and changes nothing, when what is there can't be used.
 */
export async function ensureCluster(
  place: Place,
  binaries: Binaries,
  mustExist: boolean,
): Promise<string> {
  const data = join(place.folder, 'data')
  const passwordFile = join(place.folder, 'password')
  // What a start that was killed left behind; never a cluster that anyone has used.
  for (const entry of await readdir(place.folder)) {
    if (entry.startsWith('init-')) await rm(join(place.folder, entry), { recursive: true })
  }
  const there = await stat(data).catch(() => undefined)
  if (there === undefined) {
    if (!mustExist) return create(place, binaries, passwordFile)
    throw new StartError(
      `the database is gone from ${data}, and what stands beside it was written with it: bring back a copy of the whole data folder, or move it away to begin anew`,
    )
  }

  await checkCluster(data, place, binaries)
  const password = await readFile(passwordFile, 'utf8').catch(() => '')
  if (password.trim() === '') {
    throw new StartError(
      `the database in ${data} can't be opened: its password is missing from ${passwordFile}`,
    )
  }
  return password.trim()
}

async function checkCluster(data: string, place: Place, binaries: Binaries): Promise<void> {
  const damaged = (what: string) =>
    new StartError(
      `the database in ${data} is damaged (${what}): bring back a copy of the whole data folder, or move it away to begin anew`,
    )
  const found = await stat(data)
  if (!found.isDirectory()) throw damaged('it is no folder')
  const { uid } = found
  const runsAs = place.user?.uid ?? process.getuid?.()
  if (runsAs !== undefined && uid !== runsAs) {
    throw new StartError(
      `the database in ${data} belongs to user ${uid} and PostgreSQL would run as user ${runsAs}: start Parley as before, or give it to user ${runsAs} with chown -R`,
    )
  }
  const version = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined)
  if (version === undefined) throw damaged('PG_VERSION is missing')
  if (version.trim() !== String(binaries.major)) {
    throw new StartError(
      `the database in ${data} was made by PostgreSQL ${version.trim()}, and this Parley brings ${binaries.major}: use the Parley it was made with, or move the data with pg_dump`,
    )
  }
  if ((await stat(join(data, 'global', 'pg_control')).catch(() => undefined)) === undefined) {
    throw damaged('global/pg_control is missing')
  }
}

/** In a folder beside it, renamed when it is whole and on disk. */
async function create(place: Place, binaries: Binaries, passwordFile: string): Promise<string> {
  const draft = join(place.folder, `init-${randomBytes(4).toString('hex')}`)
  const password = randomBytes(24).toString('base64url')
  const given = join(draft, 'password')
  const made = join(draft, 'data')
  await mkdir(draft, { mode: 0o700 })
  await writeFile(given, password, { mode: 0o600 })
  if (place.user !== undefined) {
    await chown(given, place.user.uid, place.user.gid)
    await chown(draft, place.user.uid, place.user.gid)
  }
  await chmod(draft, 0o700)
  try {
    await promisify(execFile)(
      binaries.initdb,
      [
        ['--pgdata', made],
        ['--username', superuser, '--pwfile', given, '--auth', 'scram-sha-256'],
        ['--encoding', 'UTF8', '--locale', 'C', '--no-instructions'],
      ].flat(),
      { ...as(place.user), cwd: draft, env: childEnv, timeout: 120_000 },
    )
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    const { stderr = '', message } = error as { stderr?: string; message: string }
    const lines = stderr.split('\n').filter((line) => line !== '')
    const why = lines.find((line) => /error:|FATAL:|PANIC:|could not/.test(line)) ?? lines.at(-1)
    throw new StartError(
      `the database could not be made in ${place.folder}: initdb says ${why ?? message}`,
    )
  }
  await writeDurably(passwordFile, `${password}\n`, 0o600)
  await rename(made, join(place.folder, 'data'))
  await syncFolder(place.folder)
  await rm(draft, { recursive: true })
  return password
}

/** Nothing of ours: PGOPTIONS or a locale of the caller must not reach the server. TZ spares initdb a search. */
export const childEnv = {
  PATH: '/usr/local/bin:/usr/bin:/bin',
  LC_ALL: 'C',
  TZ: 'UTC',
  ...(process.platform === 'win32' ? { SystemRoot: 'C:\\Windows' } : {}),
} as const
