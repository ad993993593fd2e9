import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'vitest'
import { within } from './deadline.ts'
import { killTree } from './process-tree.ts'
import type { Finished } from './standalone-server.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

export interface CommandOptions {
  dataDir: string
  env?: Record<string, string>
  deadlineMs?: number
}

export interface StartedCommand {
  readonly pid: number
  finished(): Promise<Finished>
}

/** One of the standalone's commands as npm runs it, in a process group of its own. */
export function startCommand(
  script: 'admin' | 'backup' | 'restore',
  args: readonly string[],
  { dataDir, env = {}, deadlineMs = 60_000 }: CommandOptions,
): StartedCommand {
  const child = spawn(process.execPath, [join(root, `deploy/standalone/${script}.ts`), ...args], {
    cwd: root,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, PARLEY_DATA_DIR: dataDir, ...env },
  })
  const finished = collect(child)
  return {
    pid: child.pid as number,
    async finished() {
      try {
        return await within(`${script} ends`, deadlineMs, finished)
      } finally {
        await killTree(child.pid as number)
      }
    },
  }
}

async function collect(child: ChildProcess): Promise<Finished> {
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.setEncoding('utf8').on('data', (text: string) => {
      output[stream] += text
    })
  }
  const [code] = await once(child, 'close')
  return { code: code as number | null, ...output }
}

export function runCommand(...command: Parameters<typeof startCommand>): Promise<Finished> {
  return startCommand(...command).finished()
}

export function expectDone(finished: Finished): void {
  expect(finished.stderr).toBe('')
  expect(finished.code).toBe(0)
}

/** One sentence on stderr, without a stack, and 1. */
export function expectRefused(finished: Finished, naming: RegExp): void {
  const lines = finished.stderr.split('\n').filter((line) => line.trim() !== '')
  expect(lines, finished.stderr).toHaveLength(1)
  expect(lines[0]).toMatch(naming)
  expect(finished.code).toBe(1)
}
