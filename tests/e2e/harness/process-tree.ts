import { readdirSync, readFileSync } from 'node:fs'
import { eventually } from './deadline.ts'

/**
 * A process and all it started, found through /proc (Linux), so that children of another user or in a session of
 * their own are found too.
 */

export interface ProcessEntry {
  pid: number
  parent: number
  state: string
  command: string
}

function entryOf(pid: number): ProcessEntry | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
    return { pid, parent: Number(parent), state: state ?? '?', command }
  } catch {
    return undefined
  }
}

function all(): ProcessEntry[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => entryOf(Number(name)))
    .filter((entry) => entry !== undefined)
}

/** The process and its descendants that are alive, itself first. */
export function processTree(root: number): ProcessEntry[] {
  const entries = all().filter((entry) => entry.state !== 'Z' && entry.state !== 'X')
  const found = entries.filter((entry) => entry.pid === root)
  for (const parent of found) {
    found.push(...entries.filter((entry) => entry.parent === parent.pid))
  }
  return found
}

export function isAlive(pid: number): boolean {
  const state = entryOf(pid)?.state
  return state !== undefined && state !== 'Z' && state !== 'X'
}

export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

/**
 * SIGKILL for the whole tree as if at one moment: everything is stopped first, until no new child is found, so that
 * no part sees another one die. Resolves when all are gone.
 */
export async function killTree(root: number): Promise<void> {
  const stopped = new Set<number>()
  for (;;) {
    const fresh = processTree(root)
      .map((entry) => entry.pid)
      .filter((pid) => !stopped.has(pid))
    if (fresh.length === 0) break
    signal(fresh, 'SIGSTOP')
    for (const pid of fresh) stopped.add(pid)
  }
  signal([...stopped], 'SIGKILL')
  await allGone([...stopped])
}

export async function allGone(pids: readonly number[], deadlineMs = 10_000): Promise<void> {
  await eventually(`the processes ${pids} are gone`, () => !pids.some(isAlive), { deadlineMs })
}

/** Proportional set size of the tree in bytes: memory shared by several processes is counted once. */
export function residentBytes(root: number): number {
  let kibibytes = 0
  for (const { pid } of processTree(root)) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    kibibytes += Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0)
  }
  return kibibytes * 1024
}
