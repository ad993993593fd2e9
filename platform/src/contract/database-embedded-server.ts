import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../postgres/embedded.ts'
import { createLogger } from '../process/logs.ts'
import type { DatabaseServer } from './database.ts'
import type { ServerControl } from './database-harness.ts'
import { serverAt } from './database-url-server.ts'

const deadlineMs = 15_000

/** The embedded PostgreSQL in a temporary folder, restarted by its own supervision when a check kills it. */
export async function startEmbeddedServer(): Promise<DatabaseServer> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-contract-'))
  const postgres = await startEmbeddedPostgres({
    dataDir: folder,
    log: createLogger({ name: 'contract', level: 'silent' }),
  })
  return serverAt(postgres.url, {
    control: controlOf(postgres),
    async stop() {
      await postgres.stop()
      await rm(folder, { recursive: true, force: true })
    },
  })
}

function controlOf(postgres: EmbeddedPostgres): ServerControl {
  async function signalAll(signal: NodeJS.Signals): Promise<number[]> {
    const first = postgres.pid()
    if (first === undefined) throw new Error('the server is not running')
    const all = [first, ...(await childrenOf(first))]
    for (const pid of all) signalled(pid, signal)
    return all
  }

  async function waitFor(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
    const deadline = Date.now() + deadlineMs
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error(`never: ${what}`)
      await sleep(10)
    }
  }

  return {
    async crash() {
      const killed = await signalAll('SIGKILL')
      await waitFor('all killed', () => killed.every((pid) => !signalled(pid, 0)))
    },
    async freeze() {
      await signalAll('SIGSTOP')
    },
    async thaw() {
      await signalAll('SIGCONT')
    },
    back: () => waitFor('the server runs again', () => postgres.pid() !== undefined),
  }
}

async function childrenOf(parent: number): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pid=,ppid='])
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, ppid]) => ppid === parent)
    .map(([pid]) => Number(pid))
}

/** False when there is no such process. */
function signalled(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false
  }
}
