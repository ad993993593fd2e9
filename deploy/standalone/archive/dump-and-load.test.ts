import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Database } from '@parley/platform/ports/database'
import { connectDatabase } from '@parley/platform/postgres/connect'
import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import { StartError } from '@parley/platform/process/start-error'
import { newId } from '@parley/proto/ids'
import { migrate } from '@parley/storage-worker/migrations/migrate'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { dumpLines } from './dump.ts'
import { loadArchive } from './load.ts'
import { openArchive } from './read-archive.ts'
import { readTables } from './tables.ts'
import { writeArchive } from './write-archive.ts'

let folder: string
let source: TestDatabase
let target: TestDatabase
let files = 0
const signal = new AbortController().signal

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-archive-'))
  ;[source, target] = await Promise.all([openTestDatabase(), openTestDatabase()])
  await migrate(source.db)
  await fill(source.db)
}, 60_000)
afterAll(async () => {
  await source?.close()
  await target?.close()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(async () => {
  await target.db.transaction(async (sql) => {
    await sql.query('drop schema public cascade')
    await sql.query('create schema public')
  })
  await migrate(target.db)
})

const user = newId()
const conversation = newId()

/** Values that a text form could lose: microseconds, every byte, beyond 2^31, quotes, lines, signs beyond Latin-1. */
async function fill(db: Database): Promise<void> {
  const text = 'Zoë "安" \\x00 🙂\u2028\ttab \u{10ffff}'
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n))
  await db.transaction(async (sql) => {
    await sql.query('insert into users values ($1, $2, $3, $4)', [
      user,
      'ada',
      text,
      '2026-01-02T03:04:05.678901+05:30',
    ])
    await sql.query('insert into credentials values ($1, $2)', [user, '$argon2id$x\n'])
    await sql.query(
      `insert into sessions (id, user_id, device, expires_at) values ($1, $2, $3, '2099-12-31T23:59:59.999999Z')`,
      [newId(), user, text],
    )
    await sql.query('insert into signing_keys values ($1, $2, $3, now(), now(), null)', [
      'kid',
      JSON.stringify({ kty: 'OKP', x: text, n: [1, 2.5, null, true] }),
      bytes,
    ])
    await sql.query(`insert into invites values ($1, now(), now(), 3, $2)`, [bytes, user])
    await sql.query('insert into log_epochs (number, id) values (1, $1), (2, $2)', [
      newId(),
      newId(),
    ])
    await sql.query('insert into partition_checkpoints values (0, 2, 7, 8, 9)')
    await sql.query(
      `insert into conversations (head, last_at, last_offset, created_at, last_epoch, last_index, member_count, id, kind,
         history, title, created_hash)
       values (9007199254740991, 9007199254740991, 1, 1, 2, 3, 1, $1, 'group', 'all', $2, $3)`,
      [conversation, text, bytes],
    )
    await sql.query(
      `insert into members (from_seq, joined_seq, read_seq, conversation_id, user_id, role)
       values (1, 1, 9007199254740990, $1, $2, 'owner')`,
      [conversation, user],
    )
    await sql.query(
      `insert into messages (seq, at, command_offset, command_index, epoch, kind, conversation_id, id, sender, hash, body)
       select n, n, n, 0, 1, 1, case n % 3 when 0 then $1::uuid else gen_random_uuid() end, gen_random_uuid(), $2, $3, $3
       from generate_series(1, 3000) n`,
      [conversation, user, bytes],
    )
  })
}

async function dump(db: Database): Promise<string> {
  const path = join(folder, `dump-${++files}`)
  await db.snapshot((sql) => {
    const options = { keySecret: { secret: 'secret' }, madeAt: new Date() }
    return writeArchive(path, dumpLines(sql, options), signal)
  })
  return path
}

async function load(path: string): Promise<Map<string, number>> {
  const archive = await openArchive(path)
  try {
    return await loadArchive(target.db, archive, signal)
  } finally {
    await archive.close()
  }
}

/** Every row of every table, as PostgreSQL writes them. */
function contents(db: Database): Promise<Record<string, string[]>> {
  return db.snapshot(async (sql) => {
    const all: Record<string, string[]> = {}
    for (const { name } of await readTables(sql)) {
      const rows = await sql.query<{ row: string }>(`select t::text as row from ${name} t`)
      all[name] = rows.map(({ row }) => row).toSorted()
    }
    return all
  })
}

test('every value of every table comes back as it was', async () => {
  const counts = await load(await dump(source.db))
  expect(counts.get('messages')).toBe(3_000)
  expect(counts.get('users')).toBe(1)
  expect(await contents(target.db)).toEqual(await contents(source.db))
})

test('every table is in it but the checkpoints, whose positions are those of the log left behind', async () => {
  const tables = await source.db.snapshot(readTables)
  const [row] = await source.db.snapshot((sql) =>
    sql.query<{ names: string[] }>(
      `select json_agg(tablename order by tablename) as names from pg_tables
       where schemaname = 'public' and tablename !~ '_[0-9]+$'`,
    ),
  )
  const left = row?.names.filter((name) => !tables.some((table) => table.name === name))
  expect(left?.filter((name) => !name.endsWith('_checkpoints'))).toEqual(['mikro_orm_migrations'])
  expect(left).toContain('partition_checkpoints')
  await load(await dump(source.db))
  const checkpoints = await target.db.snapshot((sql) =>
    sql.query('select from partition_checkpoints'),
  )
  expect(checkpoints).toEqual([])
})

test('the form does not depend on how the server writes bytes and times', async () => {
  const rowsOf = async (db: Database) => {
    const lines: string[] = []
    await db.snapshot(async (sql) => {
      const options = { keySecret: { secret: 'secret' }, madeAt: new Date(0) }
      for await (const line of dumpLines(sql, options)) lines.push(line)
    })
    return lines.join('')
  }
  const options = encodeURIComponent('-c bytea_output=escape -c timezone=Asia/Kolkata')
  const other = await connectDatabase({ url: `${source.url}?options=${options}` })
  try {
    const [shown] = await other.snapshot((sql) =>
      sql.query<{ bytes: string }>(`select ('\\x00'::bytea)::text as bytes`),
    )
    expect(shown?.bytes).toBe('\\000')
    const text = await rowsOf(other)
    expect(text === (await rowsOf(source.db))).toBe(true)
    expect(text).toContain('2026-01-01T21:34:05.678901+00:00')
  } finally {
    await other.close()
  }
})

test('no table has a numbering of its own, which rows alone would not bring back', async () => {
  const sequences = await source.db.snapshot((sql) =>
    sql.query<{ name: string }>(`select sequencename as name from pg_sequences`),
  )
  expect(sequences.map(({ name }) => name)).toEqual(['mikro_orm_migrations_id_seq'])
})

test('the dump is of one moment, whatever is written meanwhile', async () => {
  const path = join(folder, `dump-${++files}`)
  const before = await contents(source.db)
  await source.db.snapshot((sql) => {
    const options = { keySecret: { secret: 'secret' }, madeAt: new Date() }
    async function* disturbed() {
      for await (const line of dumpLines(sql, options)) {
        yield line
        await source.db.transaction((other) =>
          other.query('update members set read_seq = read_seq - 1'),
        )
        await source.db.transaction((other) =>
          other.query(
            `insert into invites values (sha256(gen_random_uuid()::text::bytea), now(), now(), 1, null)`,
          ),
        )
      }
    }
    return writeArchive(path, disturbed(), signal)
  })
  await load(path)
  expect(await contents(target.db)).toEqual(before)
  expect(await contents(source.db)).not.toEqual(before)
})

test('a database with rows is refused and stays as it was', async () => {
  const path = await dump(source.db)
  const insert = `insert into users (id, username, display_name) values ($1, 'ben', 'Ben')`
  await target.db.transaction((sql) => sql.query(insert, [newId()]))
  const before = await contents(target.db)
  await expect(load(path)).rejects.toThrow(/holds users already/)
  expect(await contents(target.db)).toEqual(before)
})

test('a backup of another schema is refused, and nothing is loaded', async () => {
  const path = await dump(source.db)
  const changes = [
    `insert into mikro_orm_migrations (name) values ('002-later')`,
    'alter table users add column nickname text',
    'create table more (id uuid primary key)',
  ]
  for (const change of changes) {
    await target.db.transaction((sql) => sql.query(change))
    const refused = expect(load(path)).rejects
    await refused.toThrow(/another release/)
    await target.db.transaction(async (sql) => {
      await sql.query(`delete from mikro_orm_migrations where name = '002-later'`)
      await sql.query('alter table users drop column if exists nickname')
      await sql.query('drop table if exists more')
    })
  }
  expect((await contents(target.db)).users).toEqual([])
})

test('damage that shows only while rows are loaded leaves nothing behind', async () => {
  const lines: string[] = []
  await source.db.snapshot(async (sql) => {
    const options = { keySecret: { secret: 'secret' }, madeAt: new Date() }
    for await (const line of dumpLines(sql, options)) lines.push(line)
  })
  const path = join(folder, `dump-${++files}`)
  async function* shortened() {
    yield* lines.slice(0, -1)
  }
  await writeArchive(path, shortened(), signal)
  await expect(load(path)).rejects.toBeInstanceOf(StartError)
  for (const rows of Object.values(await contents(target.db))) expect(rows).toEqual([])
})

test('interrupted, it leaves nothing behind', async () => {
  const archive = await openArchive(await dump(source.db))
  const abort = new AbortController()
  abort.abort()
  await expect(loadArchive(target.db, archive, abort.signal)).rejects.toThrow()
  await archive.close()
  for (const rows of Object.values(await contents(target.db))) expect(rows).toEqual([])
})
