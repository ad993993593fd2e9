import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Sql } from '@parley/platform/ports/database'
import { connectDatabase } from '@parley/platform/postgres/connect'
import { startEmbeddedPostgres } from '@parley/platform/postgres/embedded'
import { cpuBetween, readCpu } from './process-figures.ts'

/**
 * The floor of storage: rows of the same columns and sizes into a bare table of the embedded PostgreSQL, many a
 * statement, prepared once, syncs on, one statement a transaction. Prints the CPU of a row on both sides.
 */

export interface InsertPlan {
  rows: number
  rowsPerStatement: number
  bodyBytes: number
}

const columns = 12
const quiet = { debug() {}, info() {}, warn: console.error, error: console.error }

const plan = JSON.parse(process.argv[2] as string) as InsertPlan
const folder = await mkdtemp(join(tmpdir(), 'parley-floor-postgres-'))
await chmod(folder, 0o755)
try {
  const server = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), log: quiet })
  const database = await connectDatabase({ url: server.url, poolMax: 1 })
  await database.transaction((sql) =>
    sql.query(`create table floor (
      conversation_id uuid, seq bigint, id uuid, kind smallint, sender uuid, at bigint, target uuid, body bytea,
      hash bytea, epoch int, command_offset bigint, command_index int,
      primary key (conversation_id, seq), unique (conversation_id, id))`),
  )
  await insert((work) => database.transaction(work), 0, 10 * plan.rowsPerStatement)
  const before = readCpu(process.pid)
  const began = performance.now()
  await insert((work) => database.transaction(work), 1_000_000, plan.rows)
  const ms = performance.now() - began
  const cpu = cpuBetween(before, readCpu(process.pid))
  await database.close()
  await server.stop()
  console.log(
    JSON.stringify({
      clientUsPerRow: (cpu.own * 1e6) / plan.rows,
      serverUsPerRow: (cpu.children * 1e6) / plan.rows,
      rowsPerSecond: Math.round((plan.rows * 1_000) / ms),
    }),
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}

async function insert(
  transaction: (work: (sql: Sql) => Promise<unknown>) => Promise<unknown>,
  first: number,
  rows: number,
): Promise<void> {
  const text = statement()
  for (let row = 0; row < rows; row += plan.rowsPerStatement) {
    await transaction((sql) => sql.query(text, parameters(first + row), 'floor-insert'))
  }
}

function statement(): string {
  const tuples = Array.from({ length: plan.rowsPerStatement }, (_, row) => {
    const holes = Array.from(
      { length: columns },
      (_unused, column) => `$${row * columns + column + 1}`,
    )
    return `(${holes.join(',')})`
  })
  return `insert into floor values ${tuples.join(',')}`
}

function parameters(first: number): unknown[] {
  const conversation = uuid(Math.floor(first / 50_000))
  const sender = uuid(1)
  const values: unknown[] = []
  for (let row = 0; row < plan.rowsPerStatement; row++) {
    const seq = first + row
    const body = randomBytes(plan.bodyBytes)
    const hash = randomBytes(16)
    values.push(
      conversation,
      seq,
      uuid(seq),
      1,
      sender,
      1_790_000_000_000 + seq,
      null,
      body,
      hash,
      1,
      seq,
      0,
    )
  }
  return values
}

/** Rising ids, as version 7 ids of one conversation are. */
function uuid(n: number): string {
  const hex = n.toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`
}
