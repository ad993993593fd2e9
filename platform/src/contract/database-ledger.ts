import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database, Sql } from '@parley/platform/ports/database'
import type { DatabaseHarness } from './database-harness.ts'

/** A table of numbers, the simplest thing to lose. */
export async function createLedger(harness: DatabaseHarness, db: Database): Promise<string> {
  const table = `${harness.schema}.ledger`
  await db.transaction((sql) => sql.query(`create table ${table} (n int8 primary key)`))
  return table
}

export async function put(sql: Sql, table: string, ...numbers: number[]): Promise<void> {
  for (const n of numbers) await sql.query(`insert into ${table} values ($1)`, [n])
}

/** What other connections see, sorted. */
export async function stored(db: Database, table: string): Promise<number[]> {
  const rows = await db.transaction((sql) =>
    sql.query<{ n: number }>(`select n from ${table} order by n`),
  )
  return rows.map(({ n }) => n)
}

export async function backendOf(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ pid: number }>('select pg_backend_pid() as pid')
  return (row as { pid: number }).pid
}

/** The error of a promise that must reject. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await promise
  } catch (error) {
    assert.ok(error instanceof Error, 'what it rejected with is no Error')
    return error
  }
  throw new assert.AssertionError({ message: 'resolved where it had to reject' })
}

/** Lets a promise go on while the check does other things: its rejection matters where it is awaited. */
export function background<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

/** A promise and the function that resolves it. */
export function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** Asks again until the condition holds; throws after the harness's deadline. */
export async function until(
  harness: DatabaseHarness,
  what: string,
  condition: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + harness.deadlineMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new assert.AssertionError({ message: `never: ${what}` })
    await sleep(5)
  }
}

/** Fails when the promise takes longer than the deadline. */
export async function inTime<T>(harness: DatabaseHarness, promise: Promise<T>): Promise<T> {
  const cancel = new AbortController()
  const late = sleep(harness.deadlineMs, undefined, { signal: cancel.signal }).then(() => {
    throw new assert.AssertionError({ message: `not settled in ${harness.deadlineMs} ms` })
  })
  late.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    cancel.abort()
  }
}
