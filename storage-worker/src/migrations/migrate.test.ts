import { connectDatabase } from '@parley/platform/postgres/connect'
import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import { StartError } from '@parley/platform/process/start-error'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { migrate } from './migrate.ts'
import { migrationsList } from './migrations-list.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await openTestDatabase()
}, 60_000)
afterAll(() => test.close())
beforeEach(() =>
  test.db.transaction(async (sql) => {
    await sql.query('drop schema public cascade')
    await sql.query('create schema public')
  }),
)

const names = migrationsList.map((m) => m.name)

function done(): Promise<{ name: string }[]> {
  return test.db.transaction((sql) =>
    sql.query('select name from mikro_orm_migrations order by id'),
  )
}

describe('migrate', { timeout: 30_000 }, () => {
  it('brings an empty database up to this release, and then does nothing', async () => {
    expect(await migrate(test.db)).toEqual({ ran: names })
    expect(await migrate(test.db)).toEqual({ ran: [] })
    expect((await done()).map((m) => m.name)).toEqual(names)
  })

  it('several processes at once migrate once', async () => {
    const others = await Promise.all([1, 2, 3].map(() => connectDatabase({ url: test.url })))
    try {
      const results = await Promise.all(others.map(migrate))
      expect(results.flatMap((r) => r.ran)).toEqual(names)
      expect((await done()).map((m) => m.name)).toEqual(names)
    } finally {
      for (const db of others) await db.close()
    }
  })

  it('a migration that fails leaves nothing behind', async () => {
    await test.db.transaction((sql) => sql.query('create table messages (in_the_way int)'))
    await expect(migrate(test.db)).rejects.toThrow('already exists')
    expect(await done()).toEqual([])
    await test.db.transaction((sql) => sql.query('drop table messages'))
    expect(await migrate(test.db)).toEqual({ ran: names })
  })

  it('refuses a database that a later release has migrated, in one sentence', async () => {
    await migrate(test.db)
    await test.db.transaction((sql) =>
      sql.query("insert into mikro_orm_migrations (name) values ('900-later')"),
    )
    const refused = migrate(test.db)
    await expect(refused).rejects.toBeInstanceOf(StartError)
    await expect(refused).rejects.toThrow(/newer than this release.*900-later/)
  })
})
