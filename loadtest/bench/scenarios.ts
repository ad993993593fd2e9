import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { CommitPlan } from './floor-lmdb.ts'
import type { InsertPlan } from './floor-postgres.ts'
import type { LoadFigures, LoadPlan } from './load.ts'
import { type CpuReading, cpuBetween, readCpu } from './process-figures.ts'
import type { Server } from './server.ts'

export interface Measured extends LoadFigures {
  /** Of the server's process and of its children (PostgreSQL), in seconds, over the measured stretch. */
  server: CpuReading
  counters: Record<string, number>
}

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const graceMs = 60_000

/** Runs the load as a process of its own and reads the server's CPU between its `begin` and `end`. */
export async function measure(server: Server, plan: LoadPlan): Promise<Measured> {
  const child = spawn(process.execPath, [here('load.ts')], { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify(plan))
  const timer = setTimeout(() => child.kill('SIGKILL'), plan.warmUpMs + plan.measureMs + graceMs)
  let before: CpuReading | undefined
  let cpu: CpuReading | undefined
  let counters: Record<string, number> = {}
  let first: Record<string, number> = {}
  let figures: LoadFigures | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'begin') {
      first = await readCounters(server)
      before = readCpu(server.pid)
    } else if (line === 'end' && before) {
      cpu = cpuBetween(before, readCpu(server.pid))
      const last = await readCounters(server)
      counters = Object.fromEntries(
        Object.entries(last).map(([name, value]) => [name, value - (first[name] ?? 0)]),
      )
    } else if (line.startsWith('{')) figures = JSON.parse(line) as LoadFigures
  }
  clearTimeout(timer)
  if (cpu === undefined || figures === undefined) throw new Error('the load ended too early')
  return { ...figures, server: cpu, counters }
}

/** Sums of what the server counts; a floor counts nothing. */
async function readCounters(server: Server): Promise<Record<string, number>> {
  const sums: Record<string, number> = {}
  const answer = await fetch(`${server.httpUrl}/metrics`, {
    signal: AbortSignal.timeout(5_000),
  }).catch(() => undefined)
  if (!answer?.ok) return sums
  for (const line of (await answer.text()).split('\n')) {
    const [, name, value] = /^(parley_\w+)(?:\{[^}]*\})? ([\d.e+-]+)$/.exec(line) ?? []
    if (name === undefined || name.endsWith('_bucket')) continue
    sums[name] = (sums[name] ?? 0) + Number(value)
  }
  return sums
}

const run = promisify(execFile)

async function floor<T>(file: string, plan: unknown): Promise<T> {
  const { stdout } = await run(process.execPath, [here(file), JSON.stringify(plan)], {
    timeout: 120_000,
  })
  return JSON.parse(stdout.trim().split('\n').at(-1) as string) as T
}

export function commitFloor(plan: CommitPlan) {
  return floor<{ cpuUsPerMessage: number; usPerCommit: number }>('floor-lmdb.ts', plan)
}

export function insertFloor(plan: InsertPlan) {
  return floor<{ clientUsPerRow: number; serverUsPerRow: number; rowsPerSecond: number }>(
    'floor-postgres.ts',
    plan,
  )
}
