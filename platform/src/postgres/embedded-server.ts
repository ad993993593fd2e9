import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { StartError } from '../process/start-error.ts'
import {
  describeEnd,
  ended,
  type LaunchOptions,
  launch,
  type Running,
  shutDown,
} from './embedded-launch.ts'

export interface ServerOptions extends LaunchOptions {
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

const portAttempts = 5
const backoffMs = { first: 100, most: 5_000 }
/** A server that lived this long begins its backoff anew. */
const settledMs = 10_000

/** Starts PostgreSQL on a free port and keeps it running there until `stop`. Rejects with StartError. */
export async function startServer(options: ServerOptions): Promise<Server> {
  const { log } = options
  const stopping = new AbortController()
  const { signal } = stopping
  const { port, first } = await startFirst(options, signal)
  let running: Running | undefined = first

  /** Waits for the end of a life and begins the next one, until `stop`. */
  async function keepRunning(): Promise<void> {
    let waitMs = backoffMs.first
    while (!signal.aborted) {
      if (running !== undefined) {
        const since = Date.now()
        await ended(running.child)
        if (signal.aborted) return
        const reason = describeEnd(running)
        running = undefined
        log.error({ reason, port }, 'PostgreSQL ended by itself; starting it again')
        options.onCrash?.(reason)
        if (Date.now() - since >= settledMs) waitMs = backoffMs.first
      }
      await sleep(waitMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return
      waitMs = Math.min(waitMs * 2, backoffMs.most)
      const result = await launch(port, options, signal)
      if (typeof result === 'string') {
        log.error({ reason: result, port }, 'PostgreSQL does not start yet')
      } else {
        running = result
        log.info({ port, pid: result.child.pid }, 'PostgreSQL runs again')
      }
    }
  }
  const kept = keepRunning()

  return {
    port,
    pid: () => running?.child.pid,
    async stop() {
      stopping.abort()
      if (running !== undefined) await shutDown(running, options)
      await kept
      // A life that began while we stopped the one before.
      if (running !== undefined) await shutDown(running, options)
      running = undefined
    },
  }
}

async function startFirst(
  options: ServerOptions,
  signal: AbortSignal,
): Promise<{ port: number; first: Running }> {
  for (let attempt = 1; ; attempt++) {
    const port = await (options.choosePort ?? freePort)()
    const result = await launch(port, options, signal)
    if (typeof result !== 'string') return { port, first: result }
    const taken = result.includes('could not create any TCP/IP sockets')
    if (!taken || attempt === portAttempts) {
      throw new StartError(`PostgreSQL does not start on ${options.place.folder}: ${result}`)
    }
  }
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
