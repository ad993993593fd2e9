import { readdirSync, readFileSync } from 'node:fs'

/** CPU and memory of other processes, read from /proc (Linux). */

/** Clock ticks a second: USER_HZ, 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

interface Entry {
  pid: number
  parent: number
  command: string
  /** Own time and that of children that have ended and been waited for, in ticks. */
  ticks: number
}

function entryOf(pid: string): Entry | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const command = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z') return undefined
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
    return { pid: Number(pid), parent: Number(fields[1]), command, ticks }
  } catch {
    return undefined
  }
}

/** The process and its descendants, itself first. */
function tree(root: number): Entry[] {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(entryOf)
    .filter((entry) => entry !== undefined)
  const found = all.filter((entry) => entry.pid === root)
  for (const parent of found) found.push(...all.filter((entry) => entry.parent === parent.pid))
  return found
}

export function pidsOf(root: number): number[] {
  return tree(root).map((entry) => entry.pid)
}

export interface CpuReading {
  /** The process alone, in seconds. */
  own: number
  /** Everything it started, in seconds. */
  children: number
}

export function readCpu(root: number): CpuReading {
  const [self, ...others] = tree(root)
  const children = others.reduce((sum, entry) => sum + entry.ticks, 0)
  return { own: (self?.ticks ?? 0) / ticksPerSecond, children: children / ticksPerSecond }
}

export function cpuBetween(before: CpuReading, after: CpuReading): CpuReading {
  return { own: after.own - before.own, children: after.children - before.children }
}

/** Proportional set size in bytes: memory shared by several processes is counted once. */
export function readMemory(root: number): { own: number; children: number } {
  const sizes = tree(root).map(({ pid }) => {
    try {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
      return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024
    } catch {
      return 0
    }
  })
  const [own = 0, ...others] = sizes
  return { own, children: others.reduce((sum, size) => sum + size, 0) }
}
