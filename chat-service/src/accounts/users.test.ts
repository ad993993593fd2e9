import type { TestDatabase } from '@parley/platform/postgres/test-database'
import { newId } from '@parley/proto/ids'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTables } from '../http/test-world.ts'
import { createUsers, searchUsers, type Users } from './users.ts'

let tables: TestDatabase
let users: Users
beforeAll(async () => {
  tables = await openTables()
  users = createUsers(tables.db, Date.now)
  await tables.db.transaction(async (sql) => {
    await sql.query(
      `insert into users (id, username, display_name)
       select gen_random_uuid(), 'u' || md5(n::text), 'Name ' || md5((-n)::text) from generate_series(1, 50000) n`,
    )
  })
  await tables.db.transaction((sql) => sql.query('analyze users'))
}, 60_000)
afterAll(() => tables?.close())

async function add(username: string, displayName: string): Promise<void> {
  await tables.db.transaction((sql) =>
    sql.query('insert into users (id, username, display_name) values ($1, $2, $3)', [
      newId(),
      username,
      displayName,
    ]),
  )
}

test('a search among many users reads the two indexes and not the table', async () => {
  const plan = await tables.db.snapshot((sql) =>
    sql.query<{ 'QUERY PLAN': string }>(`explain ${searchUsers}`, ['uab12%', 'uab12%', '', 101]),
  )
  const text = plan.map((row) => row['QUERY PLAN']).join('\n')
  expect(text).toContain('users_username_prefix')
  expect(text).toContain('users_display_name_prefix')
  expect(text).not.toContain('Seq Scan')
})

test('[H16] both names count from their beginning, whatever their case, and nothing in them is a pattern', async () => {
  await add('grace.h', 'Zoë Hopper')
  await add('zo_e', 'Someone')
  await add('zoxe', '100% Zo\\e')
  const found = async (query: string) =>
    (await users.search(query, 10, undefined)).users.map((u) => u.username)
  expect(await found('ZOë h')).toEqual(['grace.h'])
  expect(await found('zo_')).toEqual(['zo_e'])
  expect(await found('ZO_')).toEqual(['zo_e'])
  expect(await found('100%')).toEqual(['zoxe'])
  expect(await found('100% zo\\')).toEqual(['zoxe'])
  expect(await found('hopper')).toEqual([])
  expect(await found('%')).toEqual([])
})

test('pages of a search go on after the last username and end', async () => {
  for (let n = 0; n < 25; n++) await add(`page-${String(n).padStart(2, '0')}`, 'Someone')
  const seen: string[] = []
  let after: string | undefined
  do {
    const page = await users.search('page-', 10, after)
    expect(page.users.length).toBeLessThanOrEqual(10)
    seen.push(...page.users.map((u) => u.username))
    after = page.next
  } while (after !== undefined && seen.length < 100)
  expect(seen).toEqual(Array.from({ length: 25 }, (_, n) => `page-${String(n).padStart(2, '0')}`))
})
