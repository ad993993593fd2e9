import type { Database, Sql } from '@parley/platform/ports/database'
import { StartError } from '@parley/platform/process/start-error'
import { migrationsList } from '@parley/storage-worker/migrations/migrations-list'
import type { ArchivedTable, ArchiveHeader } from './format.ts'
import type { Archive } from './read-archive.ts'
import { readMigrations, readTables } from './tables.ts'

/**
 * Puts an archive's rows into a migrated database without any, all in one transaction that commits only when every
 * checksum was right. Returns the rows by table. Rejects with StartError when the database is of another form or holds
 * rows, or the archive is damaged, and with the signal's reason; nothing is changed then.
 */
export function loadArchive(
  db: Database,
  archive: Archive,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  return db.transaction(async (sql) => {
    const tables = await checkForm(sql, archive)
    await refuseRows(sql, tables)
    const loaded = new Map(tables.map(({ name }) => [name, 0]))
    const inserts = new Map(tables.map((table) => [table.name, insertInto(table)]))
    for await (const { table, rows } of archive.rows()) {
      signal.throwIfAborted()
      await sql.query(inserts.get(table) ?? '', [`[${rows.join(',')}]`])
      loaded.set(table, (loaded.get(table) ?? 0) + rows.length)
    }
    return loaded
  })
}

/** Before anything is made for a restore: what is known of the schema without a database. */
export function checkRelease({ header }: Archive): void {
  const own: string[] = migrationsList.map(({ name }) => name)
  if (JSON.stringify(own) !== JSON.stringify(header.migrations)) throw otherRelease(header, own)
}

/** Rows of another release would lose columns, or lack some. */
async function checkForm(sql: Sql, { header }: Archive): Promise<ArchivedTable[]> {
  const form = (migrations: string[], tables: ArchivedTable[]) =>
    JSON.stringify([
      migrations,
      tables.map(({ name, columns }) => [name, columns.toSorted()]).toSorted(),
    ])
  const tables = await readTables(sql)
  const migrations = await readMigrations(sql)
  if (form(migrations, tables) === form(header.migrations, header.tables)) return tables
  throw otherRelease(header, migrations)
}

function otherRelease(header: ArchiveHeader, own: readonly string[]): StartError {
  return new StartError(
    `the backup was made by another release of Parley (its schema is ${header.migrations.at(-1)}, this one's ${own.at(-1)}): restore it with that release, then start the new one on it`,
  )
}

async function refuseRows(sql: Sql, tables: readonly ArchivedTable[]): Promise<void> {
  for (const { name } of tables) {
    const found = await sql.query(`select 1 from ${name} limit 1`)
    if (found.length === 0) continue
    throw new StartError(
      `the database holds ${name} already: a backup is restored into an empty one, so that nothing is overwritten`,
    )
  }
}

function insertInto({ name, columns }: ArchivedTable): string {
  const list = columns.join(', ')
  return `insert into ${name} (${list}) select ${list} from json_populate_recordset(null::${name}, $1::json)`
}
