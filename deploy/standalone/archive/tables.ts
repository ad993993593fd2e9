import type { Sql } from '@parley/platform/ports/database'
import type { ArchivedTable } from './format.ts'

/** MikroORM's own, which stands in the header instead. */
const migrationsTable = 'mikro_orm_migrations'

/**
 * Every table but those that speak of the log's positions: a restored database gets a new log. They are found in the
 * database itself, so that a table added later is backed up without anyone thinking of it. `log_epochs` is among them:
 * what stands in the others has its epochs' numbers, and the new epoch's must be greater ([R15]).
 */
export async function readTables(sql: Sql): Promise<ArchivedTable[]> {
  const rows = await sql.query<{ name: string; columns: string }>(
    `select c.relname::text as name, string_agg(a.attname::text, ',' order by a.attnum) as columns
     from pg_class c join pg_attribute a on a.attrelid = c.oid
     where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
       and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
     group by c.relname order by c.relname`,
  )
  const tables = rows
    .filter(({ name }) => name !== migrationsTable && !name.endsWith('_checkpoints'))
    .map(({ name, columns }) => ({ name, columns: columns.split(',') }))
  for (const { name, columns } of tables) {
    const odd = [name, ...columns].find((word) => !/^[a-z][a-z0-9_]*$/.test(word))
    if (odd !== undefined) throw new Error(`${odd} would need quotes in SQL`)
  }
  return inOrder(tables, await readReferences(sql))
}

/** The migrations that made the tables, in the order they ran. */
export async function readMigrations(sql: Sql): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(`select name from ${migrationsTable} order by id`)
  return rows.map((row) => row.name)
}

async function readReferences(sql: Sql): Promise<{ from: string; to: string }[]> {
  return sql.query(
    `select f.relname::text as "from", t.relname::text as "to"
     from pg_constraint k join pg_class f on f.oid = k.conrelid join pg_class t on t.oid = k.confrelid
     where k.contype = 'f' and f.oid <> t.oid`,
  )
}

/** Each after those that it refers to. */
function inOrder(
  tables: readonly ArchivedTable[],
  references: readonly { from: string; to: string }[],
): ArchivedTable[] {
  const ordered: ArchivedTable[] = []
  let left = [...tables]
  while (left.length > 0) {
    const waiting = new Set(left.map((table) => table.name))
    const ready = left.filter(
      ({ name }) => !references.some(({ from, to }) => from === name && waiting.has(to)),
    )
    if (ready.length === 0)
      throw new Error(`tables refer to each other: ${[...waiting].join(', ')}`)
    ordered.push(...ready)
    left = left.filter((table) => !ready.includes(table))
  }
  return ordered
}
