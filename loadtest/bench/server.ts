import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { pidsOf } from './process-figures.ts'

/** A server process under measurement, on loopback: Parley, or a floor that says `ready` in the same way. */
export interface Server {
  readonly pid: number
  readonly httpUrl: string
  readonly wsUrl: string
  /** From spawn to the ready line. */
  readonly readyMs: number
  stop(): Promise<void>
}

const readyDeadlineMs = 60_000
const stopDeadlineMs = 30_000

export function startParley(dataDir: string): Promise<Server> {
  return startServer(
    fileURLToPath(new URL('../../deploy/standalone/main.ts', import.meta.url)),
    [],
    {
      PARLEY_DATA_DIR: dataDir,
      PARLEY_HTTP_PORT: '0',
      PARLEY_WS_PORT: '0',
      PARLEY_USER_MESSAGES_PER_SECOND: '0',
    },
  )
}

export function startUwsFloor(): Promise<Server> {
  return startServer(fileURLToPath(new URL('floor-uws.ts', import.meta.url)), [], {})
}

async function startServer(
  main: string,
  args: string[],
  env: Record<string, string>,
): Promise<Server> {
  const began = performance.now()
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const urls = await readyLine(child)
  const readyMs = performance.now() - began
  const pid = child.pid as number
  return {
    pid,
    readyMs,
    ...urls,
    async stop() {
      const all = pidsOf(pid)
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      const timer = setTimeout(() => {
        for (const one of all) process.kill(one, 'SIGKILL')
      }, stopDeadlineMs)
      await ended
      clearTimeout(timer)
    },
  }
}

function readyLine(child: ChildProcess): Promise<{ httpUrl: string; wsUrl: string }> {
  return new Promise((resolve, reject) => {
    let said = ''
    const fail = (why: string) => {
      child.kill('SIGKILL')
      reject(new Error(`the server ${why}\n${said.slice(-2_000)}`))
    }
    const timer = setTimeout(() => fail(`was not ready in ${readyDeadlineMs} ms`), readyDeadlineMs)
    let ready = false
    const listen = (text: string) => {
      if (ready) return
      said += text
      for (const line of said.split('\n')) {
        const httpUrl = /http:\/\/[\w.:[\]-]+/.exec(line)?.[0]
        const wsUrl = /ws:\/\/[\w.:[\]/-]+/.exec(line)?.[0]
        if (!/\bready\b/.test(line) || !httpUrl || !wsUrl) continue
        ready = true
        clearTimeout(timer)
        resolve({ httpUrl, wsUrl })
      }
    }
    child.stdout?.setEncoding('utf8').on('data', listen)
    child.stderr?.setEncoding('utf8').on('data', listen)
    child.once('exit', (code) => {
      clearTimeout(timer)
      if (!ready) fail(`ended with ${code}`)
    })
  })
}
