import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { defineEntity, p } from '@mikro-orm/core'
import { DatabaseUnavailable } from '@parley/platform/ports/database'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { StartError } from '../process/start-error.ts'
import { connectDatabase } from './connect.ts'
import type { PgClient } from './pg-types.ts'
import { checkServer } from './server-check.ts'
import { openTestDatabase, type TestDatabase } from './test-database.ts'
import { waitUntil } from './test-processes.ts'
import { isUnavailable } from './unavailable.ts'

vi.setConfig({ testTimeout: 30_000, hookTimeout: 60_000 })

const Note = defineEntity({
  name: 'Note',
  tableName: 'notes',
  properties: { id: p.uuid().primary(), text: p.string(), at: p.datetime() },
})

let database: TestDatabase
beforeAll(async () => {
  database = await openTestDatabase({
    entities: [Note],
    statements: ['create table notes (id uuid primary key, text text, at timestamptz)'],
  })
})
afterAll(() => database.close())

const altered = (change: (url: URL) => void): string => {
  const url = new URL(database.url)
  change(url)
  return url.href
}

async function rejection(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('resolved where it had to reject')
    },
    (error) => error,
  )
}

describe('connectDatabase refuses in one sentence', () => {
  test.each([
    [
      'a wrong password',
      () => altered((url) => Object.assign(url, { password: 'wrong' })),
      /password authentication failed/,
    ],
    [
      'an unknown database',
      () => altered((url) => Object.assign(url, { pathname: '/nowhere' })),
      /"nowhere" does not exist/,
    ],
    ['no URL', () => 'localhost', /DATABASE_URL/],
    ['a URL of another database', () => 'mysql://u:p@localhost/x', /DATABASE_URL/],
    ['a URL without a database', () => 'postgresql://u:p@localhost', /DATABASE_URL/],
  ])('%s', async (_, url, sentence) => {
    const error = await rejection(connectDatabase({ url: url() }))
    expect(error).toBeInstanceOf(StartError)
    expect(error.message).toMatch(sentence)
    expect(error.message).not.toMatch(/\n|wrong@/)
  })
})

describe('[DB9] a server that is unfit', () => {
  const good = {
    version: 150_004,
    standby: false,
    fsync: 'on',
    full_page_writes: 'on',
    synchronous_commit: 'on',
  }
  /** A connection to a server that answers the one question so. */
  const answering = (row: object): PgClient => ({
    query: async () => ({ command: 'SELECT', rows: [row] }),
    release() {},
  })

  test('is one that is too old or has a sync off; the sentence names it', async () => {
    await checkServer(answering(good), 1_000)
    await checkServer(answering({ ...good, synchronous_commit: 'remote_apply' }), 1_000)
    for (const [change, sentence] of [
      [{ version: 140_012 }, /^the database is PostgreSQL 14; Parley needs 15/],
      [{ fsync: 'off' }, /fsync = off/],
      [{ full_page_writes: 'off' }, /full_page_writes = off/],
      [{ synchronous_commit: 'off' }, /synchronous_commit = off/],
      [{ synchronous_commit: 'local' }, /synchronous_commit = local/],
    ] as const) {
      const error = await rejection(checkServer(answering({ ...good, ...change }), 1_000))
      expect(error).toBeInstanceOf(StartError)
      expect(error.message).toMatch(sentence)
    }
  })

  test('[R6] a standby is away, since what it shows may lag', async () => {
    const error = await rejection(checkServer(answering({ ...good, standby: true }), 1_000))
    expect(error).toBeInstanceOf(DatabaseUnavailable)
  })
})

describe('[DB8] a server that is not there', () => {
  const silent = new Set<Socket>()
  let server: Server
  let port = 0
  beforeAll(async () => {
    server = createServer((socket) => silent.add(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as { port: number }).port
  })
  afterAll(() => {
    for (const socket of silent) socket.destroy()
    server.close()
  })

  test('rejects when nobody listens', async () => {
    const nobody = createServer().listen(0, '127.0.0.1')
    await once(nobody, 'listening')
    const free = (nobody.address() as { port: number }).port
    nobody.close()
    await once(nobody, 'close')
    const error = await rejection(connectDatabase({ url: `postgresql://u:p@127.0.0.1:${free}/x` }))
    expect(error).toBeInstanceOf(DatabaseUnavailable)
    expect(error.message).toContain('ECONNREFUSED')
    expect(error.message).not.toContain('u:p')
  })

  test('rejects when it takes the connection and says nothing, in acquireTimeoutMs', async () => {
    const begun = Date.now()
    const url = `postgresql://u:p@127.0.0.1:${port}/x`
    const error = await rejection(connectDatabase({ url, acquireTimeoutMs: 200 }))
    expect(error).toBeInstanceOf(DatabaseUnavailable)
    expect(Date.now() - begun).toBeLessThan(5_000)
  })

  test('rejects when its name is unknown', async () => {
    const url = 'postgresql://u:p@no-such-host.invalid/x'
    expect(await rejection(connectDatabase({ url }))).toBeInstanceOf(DatabaseUnavailable)
  })
})

test('entities and SQL of one database see the same rows', async () => {
  const { db } = database
  const em = db.orm.em.fork()
  const id = '0198c0de-0000-7000-8000-00000000abcd'
  em.create(Note, { id, text: 'hello', at: new Date(1_700_000_000_123) })
  await em.flush()
  const rows = await db.snapshot((sql) => sql.query('select id, text from notes'))
  expect(rows).toEqual([{ id, text: 'hello' }])
  const found = await db.orm.em.fork().findOneOrFail(Note, id)
  expect(found.at.getTime()).toBe(1_700_000_000_123)
})

test("isUnavailable sees through MikroORM's errors, and takes no other for it", async () => {
  const db = await connectDatabase({ url: database.url, poolMax: 1 })
  const em = db.orm.em.fork()
  expect(isUnavailable(await rejection(em.execute('no such statement')))).toBe(false)
  const during = rejection(em.execute('select pg_sleep(3600)'))
  await waitUntil('it is ended', async () => {
    const ended = await database.db.transaction((sql) =>
      sql.query<{ ended: boolean }>(
        `select pg_terminate_backend(pid) as ended from pg_stat_activity where query = 'select pg_sleep(3600)'`,
      ),
    )
    return ended.some((row) => row.ended)
  })
  expect(isUnavailable(await during)).toBe(true)
  await db.close()
  expect(isUnavailable(new Error('x', { cause: new DatabaseUnavailable('away') }))).toBe(true)
  for (const other of [undefined, null, 'ECONNREFUSED', new Error('x'), { code: '57P01' }]) {
    expect(isUnavailable(other)).toBe(false)
  }
})

test('[DB10] close gives up a transaction that never ends, in bounds', async () => {
  const db = await connectDatabase({ url: database.url, statementTimeoutMs: 50 })
  let ask = () => Promise.resolve<unknown>(undefined)
  let started = () => {}
  const running = new Promise<void>((resolve) => {
    started = resolve
  })
  const stuck = db.transaction(async (sql) => {
    ask = () => sql.query('select 1')
    started()
    await new Promise(() => {})
  })
  stuck.catch(() => {})
  await running
  await db.close()
  expect(await rejection(ask())).toBeInstanceOf(DatabaseUnavailable)
})
