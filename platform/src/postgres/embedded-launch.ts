import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../process/logs.ts'
import type { Binaries } from './embedded-binaries.ts'
import { childEnv } from './embedded-cluster.ts'
import { readServerLog, type ServerLog } from './embedded-log.ts'
import type { Place } from './embedded-place.ts'
import { probe } from './embedded-probe.ts'
import { serverSettings } from './embedded-settings.ts'
import { as } from './embedded-user.ts'
import { type Watch, watchParent } from './embedded-watch.ts'

/** One life of the server process. */
export interface Running {
  child: ChildProcess
  output: ServerLog
  watch: Watch
}

export interface LaunchOptions {
  place: Place
  binaries: Binaries
  log: Log
  /** Recovery after a crash may take long; beyond this the start has failed. */
  startTimeoutMs: number
  /** How long each step of a stop may take. */
  stopTimeoutMs: number
}

/** The running server once it answers, or the sentence it ended with. */
export async function launch(
  port: number,
  options: LaunchOptions,
  signal: AbortSignal,
): Promise<Running | string> {
  let running: Running
  try {
    running = run(port, options)
  } catch (error) {
    // No process to be had: out of them, of descriptors or of memory.
    return (error as Error).message
  }
  const { child } = running
  const deadline = Date.now() + options.startTimeoutMs
  while (!hasEnded(child)) {
    if ((await saysReady(options.place, child)) && (await probe(port, 1_000))) return running
    if (signal.aborted || Date.now() > deadline) {
      await shutDown(running, options)
      return signal.aborted
        ? 'it was stopped'
        : `it does not answer after ${options.startTimeoutMs} ms`
    }
    await sleep(15)
  }
  return describeEnd(running)
}

function run(port: number, { place, binaries, log }: LaunchOptions): Running {
  const settings = Object.entries({ ...serverSettings, port: String(port) })
  const args = ['-D', join(place.folder, 'data')]
  for (const [key, value] of settings) args.push('-c', `${key}=${value}`)
  const child = spawn(binaries.postgres, args, {
    ...as(place.user),
    cwd: '/',
    env: childEnv,
    stdio: ['ignore', 'ignore', 'pipe'],
    // In a group of its own: Ctrl-C is for us, and we stop it when everything that uses it has stopped.
    detached: true,
    windowsHide: true,
  })
  return { child, output: readServerLog(child, log), watch: watchParent(child, place.user) }
}

/** Who else may answer on this port is not ours: the lock file must name our child. Line 8 is its status. */
async function saysReady(place: Place, child: ChildProcess): Promise<boolean> {
  const text = await readFile(join(place.folder, 'data', 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  return Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready'
}

export function describeEnd({ child, output }: Running): string {
  if (child.signalCode !== null) return `it got ${child.signalCode}`
  return output.complaint() ?? `it ended with code ${child.exitCode}`
}

/** Fast shutdown, then immediate (recovers at the next start), then the end of it. Resolves when it has ended. */
export async function shutDown(
  { child, watch }: Running,
  { binaries, stopTimeoutMs, log }: Pick<LaunchOptions, 'binaries' | 'stopTimeoutMs' | 'log'>,
): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (hasEnded(child)) break
    if (signal !== 'SIGINT') log.warn({ signal }, 'PostgreSQL does not stop; insisting')
    send(child, signal, binaries)
    const cancel = new AbortController()
    const late = sleep(stopTimeoutMs, undefined, { signal: cancel.signal }).catch(() => {})
    await Promise.race([ended(child), late])
    cancel.abort()
  }
  watch.end()
}

/** Windows has no signals; there pg_ctl tells the server over its pipe. */
function send(child: ChildProcess, signal: NodeJS.Signals, binaries: Binaries): void {
  if (process.platform === 'win32' && signal !== 'SIGKILL') {
    const teller = spawn(binaries.pgCtl, ['kill', signal.slice(3), String(child.pid)], {
      stdio: 'ignore',
      windowsHide: true,
    })
    teller.on('error', () => {})
  } else {
    child.kill(signal)
  }
}

/** Also true of a child that never began. */
function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined
}

export async function ended(child: ChildProcess): Promise<void> {
  if (!hasEnded(child)) await new Promise((resolve) => child.once('exit', resolve))
}
