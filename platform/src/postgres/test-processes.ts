import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

/** Looking at real processes, for tests. */
export interface ProcessLine {
  pid: number
  parent: number
  group: number
  state: string
  command: string
}

export function listProcesses(): ProcessLine[] {
  return execFileSync('ps', ['-A', '-ww', '-o', 'pid=,ppid=,pgid=,stat=,command='], {
    encoding: 'utf8',
  })
    .trim()
    .split('\n')
    .map((line) => {
      const [, pid, parent, group, state = '', command = ''] =
        /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
      return { pid: Number(pid), parent: Number(parent), group: Number(group), state, command }
    })
}

/** Dead, or a zombie that nobody has asked about yet. */
export function isGone(pid: number): boolean {
  const found = listProcesses().find((line) => line.pid === pid)
  return found === undefined || found.state.startsWith('Z')
}

/** Rejects when the condition has not come true in the time. */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 15_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not in ${timeoutMs} ms: ${what}`)
    await sleep(20)
  }
}
