import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../process/logs.ts'
import { StartError } from '../process/start-error.ts'
import type { Binaries } from './embedded-binaries.ts'
import { childEnv } from './embedded-cluster.ts'
import { readServerLog, type ServerLog } from './embedded-log.ts'
import type { Place } from './embedded-place.ts'
import { probe } from './embedded-probe.ts'
import { serverSettings } from './embedded-settings.ts'
import { as } from './embedded-user.ts'
import { type Watch, watchParent } from './embedded-watch.ts'

export interface ServerOptions {
  place: Place
  binaries: Binaries
  log: Log
  /** Recovery after a crash may take long; beyond this the start has failed. */
  startTimeoutMs: number
  stopTimeoutMs: number
  /** A free TCP port; it may be taken by the time it is used. */
  choosePort?: () => Promise<number>
  /** Told each time the server ended by itself; it is being started again. */
  onCrash?: (reason: string) => void
}

export interface Server {
  readonly port: number
  /** Of the postmaster; undefined while it is down. */
  pid(): number | undefined
  stop(): Promise<void>
}

interface Running {
  child: ChildProcess
  output: ServerLog
  watch: Watch
}

const portAttempts = 5
const backoffMs = { first: 100, most: 5_000 }
/** A server that lived this long begins its backoff anew. */
const settledMs = 10_000

/** Starts PostgreSQL on a free port and keeps it running there until `stop`. Rejects with StartError. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { log } = options
  let stopping = false
  let running: Running | undefined
  const stopSignal = new AbortController()

  let port = 0
  for (let attempt = 1; running === undefined; attempt++) {
    port = await (options.choosePort ?? freePort)()
    const result = await launch(port, options, stopSignal.signal)
    if (typeof result !== 'string') running = result
    else if (!portTaken(result) || attempt === portAttempts) {
      throw new StartError(`PostgreSQL does not start on ${options.place.folder}: ${result}`)
    }
  }

  const kept = keepRunning(running)

  async function keepRunning(first: Running): Promise<void> {
    let now: Running | undefined = first
    let waitMs = backoffMs.first
    while (!stopping) {
      if (now !== undefined) {
        running = now
        const since = Date.now()
        await ended(now.child)
        running = undefined
        if (stopping) return
        const reason = describeEnd(now)
        log.error({ reason, port }, 'PostgreSQL ended by itself; starting it again')
        options.onCrash?.(reason)
        if (Date.now() - since >= settledMs) waitMs = backoffMs.first
      }
      await sleep(waitMs, undefined, { signal: stopSignal.signal }).catch(() => {})
      if (stopping) return
      waitMs = Math.min(waitMs * 2, backoffMs.most)
      const result = await launch(port, options, stopSignal.signal)
      now = typeof result === 'string' ? undefined : result
      if (now === undefined) log.error({ reason: result, port }, 'PostgreSQL does not start yet')
      else log.info({ port, pid: now.child.pid }, 'PostgreSQL runs again')
    }
    if (now !== undefined) running = now
  }

  return {
    port,
    pid: () => running?.child.pid,
    async stop() {
      stopping = true
      stopSignal.abort()
      if (running !== undefined) await shutDown(running, options)
      await kept
      if (running !== undefined) await shutDown(running, options)
    },
  }
}

/** The running server once it answers, or the sentence it ended with. */
async function launch(
  port: number,
  { place, binaries, log, startTimeoutMs, stopTimeoutMs }: ServerOptions,
  signal: AbortSignal,
): Promise<Running | string> {
  const settings = Object.entries({ ...serverSettings, port: String(port) })
  const child = spawn(
    binaries.postgres,
    [
      '-D',
      join(place.folder, 'data'),
      ...settings.flatMap(([key, value]) => ['-c', `${key}=${value}`]),
    ],
    {
      ...as(place.user),
      cwd: '/',
      env: childEnv,
      stdio: ['ignore', 'ignore', 'pipe'],
      // In a group of its own: Ctrl-C is for us, and we stop it when everything that uses it has stopped.
      detached: true,
      windowsHide: true,
    },
  )
  const output = readServerLog(child, log)
  const watch = watchParent(child, place.user)
  const started: Running = { child, output, watch }
  const deadline = Date.now() + startTimeoutMs
  while (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    if ((await saysReady(place, child)) && (await probe(port, 1_000))) return started
    if (signal.aborted || Date.now() > deadline) {
      await shutDown(started, { binaries, stopTimeoutMs, log })
      return signal.aborted ? 'stopped' : `it does not answer after ${startTimeoutMs / 1_000} s`
    }
    await sleep(15)
  }
  await ended(child)
  return describeEnd(started)
}

/** Who else may answer on this port is not ours: the lock file must name our child. Line 8 is its status. */
async function saysReady(place: Place, child: ChildProcess): Promise<boolean> {
  const text = await readFile(join(place.folder, 'data', 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  return Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready'
}

function describeEnd({ child, output }: Running): string {
  const how =
    child.signalCode === null
      ? `it ended with code ${child.exitCode}`
      : `it got ${child.signalCode}`
  return output.complaint() ?? how
}

function portTaken(reason: string): boolean {
  return reason.includes('could not create any TCP/IP sockets')
}

/** Fast shutdown, then immediate (recovers at the next start), then the end of it. Resolves when it has ended. */
async function shutDown(
  { child, watch }: Running,
  { binaries, stopTimeoutMs, log }: Pick<ServerOptions, 'binaries' | 'stopTimeoutMs' | 'log'>,
): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const) {
    if (child.exitCode !== null || child.signalCode !== null) break
    if (signal !== 'SIGINT') log.warn({ signal }, 'PostgreSQL does not stop; insisting')
    send(child, signal, binaries)
    const timeout = new AbortController()
    await Promise.race([
      ended(child),
      sleep(stopTimeoutMs, undefined, { signal: timeout.signal }).catch(() => {}),
    ])
    timeout.abort()
  }
  watch.end()
}

/** Windows has no signals; there pg_ctl tells the server over its pipe. */
function send(child: ChildProcess, signal: NodeJS.Signals, binaries: Binaries): void {
  if (process.platform === 'win32' && signal !== 'SIGKILL') {
    spawn(binaries.pgCtl, ['kill', signal.slice(3), String(child.pid)], { stdio: 'ignore' })
  } else {
    child.kill(signal)
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  await new Promise((resolve) => child.once('exit', resolve))
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('a TCP server has no port')
  return address.port
}
