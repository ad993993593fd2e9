import { createHash } from 'node:crypto'
import type { Sql } from '@parley/platform/ports/database'
import { type ArchivedKeySecret, type ArchivedTable, formatLine } from './format.ts'
import { readMigrations, readTables } from './tables.ts'

export interface DumpOptions {
  keySecret: ArchivedKeySecret
  madeAt: Date
  /** Told when a table has been read. */
  onTable?: (name: string, rows: number) => void
}

const fetchRows = 256

/**
 * The lines of an archive, read through cursors of one snapshot: no table is ever in memory. Bytes come as `\x…`, times
 * with microseconds and in UTC, whatever the server's own settings are.
 */
export async function* dumpLines(sql: Sql, options: DumpOptions): AsyncGenerator<string> {
  for (const setting of [`bytea_output = 'hex'`, `timezone = 'UTC'`]) {
    await sql.query(`set local ${setting}`)
  }
  const tables = await readTables(sql)
  yield formatLine({
    type: 'header',
    madeAt: options.madeAt.toISOString(),
    migrations: await readMigrations(sql),
    keySecret: options.keySecret,
    tables,
  })
  let total = 0
  for (const table of tables) {
    yield formatLine({ type: 'table', name: table.name })
    const digest = createHash('sha256')
    let rows = 0
    for await (const lines of tableRows(sql, table)) {
      const text = lines.map((line) => `${line}\n`).join('')
      digest.update(text)
      rows += lines.length
      yield text
    }
    yield formatLine({ type: 'end', name: table.name, rows, sha256: digest.digest('hex') })
    total += rows
    options.onTable?.(table.name, rows)
  }
  yield formatLine({ type: 'close', rows: total })
}

async function* tableRows(
  sql: Sql,
  { name, columns }: ArchivedTable,
): AsyncGenerator<readonly string[]> {
  await sql.query(
    `declare dumped no scroll cursor for
     select row_to_json(t)::text as line from (select ${columns.join(', ')} from ${name}) t`,
  )
  for (;;) {
    const page = await sql.query<{ line: string }>(`fetch ${fetchRows} from dumped`)
    if (page.length === 0) break
    yield page.map((row) => row.line)
  }
  await sql.query('close dumped')
}
