import { execFile } from 'node:child_process'
import { readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Log } from '../process/logs.ts'
import { StartError } from '../process/start-error.ts'

/** Signals to a postmaster, each with how long it then has: fast shutdown, immediate shutdown, the end. */
const insistence = [
  { signal: 'SIGINT', waitMs: 10_000 },
  { signal: 'SIGQUIT', waitMs: 5_000 },
  { signal: 'SIGKILL', waitMs: 2_000 },
] as const

/**
 * Stops a PostgreSQL that an earlier run left behind on this data folder when it was killed. The caller holds the
 * folder's lock, so no living Parley owns it. A process is touched only when it is a postgres with this `-D`.
 */
export async function stopLeftover(data: string, log: Log): Promise<void> {
  if (process.platform === 'win32') return
  const file = join(data, 'postmaster.pid')
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text === undefined) return
  if (text === '') {
    // A crash while it was made, before any server ran; PostgreSQL would refuse it.
    await rm(file)
    return
  }
  const pid = Number(text.split('\n')[0])
  if (!Number.isSafeInteger(pid) || pid < 1 || !isAlive(pid)) return
  if (!(await isPostmaster(pid, data))) {
    // Another process got the number of a dead postmaster, and PostgreSQL would take it for a living one. It
    // accepts its own parent's number, and still checks by the other lines that no orphan uses the data.
    await writeFile(file, text.replace(/^\d+/, String(process.pid)))
    return
  }
  log.warn({ pid, data }, 'stopping the PostgreSQL that an earlier run left behind')
  for (const { signal, waitMs } of insistence) {
    if (!signalled(pid, signal)) return
    const deadline = Date.now() + waitMs
    while (Date.now() < deadline) {
      if (!isAlive(pid) || !(await isPostmaster(pid, data))) return
      await sleep(20)
    }
  }
  throw new StartError(`an older PostgreSQL (process ${pid}) uses ${data} and does not stop`)
}

function signalled(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw new StartError(
      `an older PostgreSQL (process ${pid}) of another user must be stopped first`,
    )
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** A zombie has no command line, so it is none. */
async function isPostmaster(pid: number, data: string): Promise<boolean> {
  const words = await commandLine(pid)
  const at = words.indexOf('-D')
  const folder = words[at + 1]
  if (at < 1 || folder === undefined || basename(words[0] ?? '') !== 'postgres') return false
  return (await real(folder)) === (await real(data))
}

const real = (path: string) => realpath(path).catch(() => path)

async function commandLine(pid: number): Promise<string[]> {
  if (process.platform === 'linux') {
    const raw = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
    return raw.split('\0')
  }
  // `ps` joins words by spaces, so a folder with spaces comes in pieces: join what stands between -D and -c.
  const { stdout } = await promisify(execFile)('ps', [
    '-ww',
    '-o',
    'command=',
    '-p',
    String(pid),
  ]).catch(() => ({ stdout: '' }))
  const match = /^(\S.*?\/postgres) -D (.*?) -c /.exec(stdout)
  return match === null ? [] : [match[1] ?? '', '-D', match[2] ?? '']
}
