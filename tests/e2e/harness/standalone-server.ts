import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { within } from './deadline.ts'
import { allGone, killTree, processTree, signal } from './process-tree.ts'
import type { Stack } from './stack.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const main = join(root, 'deploy/standalone/main.ts')
const keptLogCharacters = 4_000_000

export interface StandaloneOptions {
  /** Settings beside the folder and the ports. */
  env?: Record<string, string>
  /** Used as it is and not removed; by itself a fresh folder is made. */
  dataDir?: string
  readyMs?: number
}

/** `PARLEY_TEST_LOGS` names a file to which servers' logs are added when a test is done with them. */
export interface StandaloneServer extends Stack {
  readonly dataDir: string
  readonly pid: number
  /** From spawn to the ready line, of the last start. */
  readonly readyAfterMs: number
}

export interface Finished {
  code: number | null
  stdout: string
  stderr: string
}

interface Running {
  child: ChildProcess
  output: { stdout: string; stderr: string }
  exited: Promise<number | null>
}

/** A folder that processes of other users can reach, as PostgreSQL's may be. */
export async function temporaryFolder(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `parley-${name}-`))
  await chmod(folder, 0o755)
  return folder
}

/** Plain `node deploy/standalone/main.ts` with free ports, in a process group of its own. */
function launch(dataDir: string, env: Record<string, string>): Running {
  const child = spawn(process.execPath, [main], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      PARLEY_DATA_DIR: dataDir,
      PARLEY_HTTP_PORT: '0',
      PARLEY_WS_PORT: '0',
      ...env,
    },
  })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] = (output[stream] + text).slice(-keptLogCharacters)
    })
  }
  // A test run that is broken off leaves nothing running.
  const reap = () =>
    signal(
      processTree(child.pid ?? -1).map((entry) => entry.pid),
      'SIGKILL',
    )
  process.once('exit', reap)
  child.once('exit', () => process.off('exit', reap))
  const exited = once(child, 'close').then(([code]) => code as number | null)
  return { child, output, exited }
}

function pidOf({ child }: Running): number {
  if (child.pid === undefined) throw new Error('the process did not start')
  return child.pid
}

/** Runs a start that is expected to fail, and kills what does not end by itself. */
export async function runToExit(
  options: { dataDir: string; env?: Record<string, string> },
  deadlineMs = 20_000,
): Promise<Finished> {
  const running = launch(options.dataDir, options.env ?? {})
  try {
    const code = await within('the process ends', deadlineMs, running.exited)
    return { code, ...running.output }
  } catch (error) {
    const { stdout, stderr } = running.output
    throw new Error(`it went on running\n${stdout}\n${stderr}`, { cause: error })
  } finally {
    await killTree(pidOf(running))
  }
}

export async function startStandalone(options: StandaloneOptions = {}): Promise<StandaloneServer> {
  const folder = options.dataDir === undefined ? await temporaryFolder('e2e') : undefined
  const dataDir = options.dataDir ?? join(folder as string, 'data')
  const readyMs = options.readyMs ?? 60_000
  let earlierLogs = ''
  let running: Running | undefined
  let ready = { httpUrl: '', wsUrl: '', afterMs: 0 }

  const start = async () => {
    const began = performance.now()
    running = launch(dataDir, options.env ?? {})
    try {
      ready = { ...(await readyLine(running, readyMs)), afterMs: performance.now() - began }
    } catch (error) {
      await killTree(pidOf(running))
      throw error
    }
  }
  const current = (): Running => {
    if (running === undefined) throw new Error('the server does not run')
    return running
  }
  const ended = () => {
    if (running) earlierLogs += running.output.stdout + running.output.stderr
    running = undefined
  }
  const removeFolder = async () => {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  }
  await start().catch(async (error: unknown) => {
    await removeFolder()
    throw error
  })

  return {
    dataDir,
    get pid() {
      return pidOf(current())
    },
    get readyAfterMs() {
      return ready.afterMs
    },
    get httpUrl() {
      return ready.httpUrl
    },
    get wsUrls() {
      return [ready.wsUrl]
    },
    logs: () => earlierLogs + (running ? running.output.stdout + running.output.stderr : ''),
    async kill() {
      await killTree(pidOf(current()))
      ended()
    },
    async restart() {
      if (running !== undefined) throw new Error('the server runs already')
      await start()
    },
    async stop(deadlineMs = 30_000) {
      const server = current()
      const tree = processTree(pidOf(server)).map((entry) => entry.pid)
      server.child.kill('SIGTERM')
      const code = await within('the server ends after SIGTERM', deadlineMs, server.exited)
      await allGone(tree)
      ended()
      return code
    },
    async dispose() {
      if (running !== undefined) await killTree(pidOf(running))
      ended()
      if (process.env.PARLEY_TEST_LOGS) await appendFile(process.env.PARLEY_TEST_LOGS, earlierLogs)
      await removeFolder()
    },
  }
}

/** PROTOCOL.md: one line holds `ready` and both URLs. */
function readyLine(
  running: Running,
  deadlineMs: number,
): Promise<{ httpUrl: string; wsUrl: string }> {
  const said = () => `${running.output.stdout}\n${running.output.stderr}`.slice(-4_000)
  const found = new Promise<{ httpUrl: string; wsUrl: string }>((resolve, reject) => {
    running.child.stdout?.on('data', () => {
      for (const line of running.output.stdout.split('\n')) {
        const httpUrl = /http:\/\/[\w.:[\]-]+/.exec(line)?.[0]
        const wsUrl = /ws:\/\/[\w.:[\]/-]+/.exec(line)?.[0]
        if (/\bready\b/.test(line) && httpUrl && wsUrl) resolve({ httpUrl, wsUrl })
      }
    })
    running.child.once('error', reject)
    void running.exited.then((code) => reject(new Error(`it ended with ${code}\n${said()}`)))
  })
  return within('the ready line', deadlineMs, found).catch((error: Error) => {
    throw new Error(`${error.message}\n${said()}`, { cause: error })
  })
}
