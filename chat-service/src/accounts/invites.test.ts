import { createMemoryBus } from '@parley/platform/memory/bus'
import type { TestDatabase } from '@parley/platform/postgres/test-database'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openTables, testAccounts, testPassword } from '../http/test-world.ts'
import { type Accounts, createAccounts } from './accounts.ts'
import { makeInvite } from './invites.ts'

let tables: TestDatabase
const instances: Accounts[] = []
let clockMs = Date.now()
const now = () => clockMs
const dayMs = 24 * 3_600_000

async function instance(registration: 'open' | 'invite' | 'closed'): Promise<Accounts> {
  const accounts = await createAccounts(
    { ...testAccounts, registration },
    { database: tables.db, bus: createMemoryBus(), now },
  )
  instances.push(accounts)
  return accounts
}

let accounts: Accounts
beforeAll(async () => {
  tables = await openTables()
  accounts = await instance('invite')
}, 60_000)
afterAll(async () => {
  for (const each of instances) await each.close()
  await tables?.close()
})

const invite = (uses: number, lifeMs = dayMs) =>
  makeInvite(tables.db, { uses, lifeMs, nowMs: clockMs })
let names = 0
const register = (code: string | undefined, username = `guest-${++names}`, on = accounts) =>
  on.register({ username, password: testPassword, ...(code === undefined ? {} : { invite: code }) })

async function usesLeft(): Promise<number> {
  const [row] = await tables.db.snapshot((sql) =>
    sql.query<{ left: number }>('select sum(uses_left)::int as left from invites'),
  )
  return row?.left ?? 0
}

test('[H15] an invitation lets in as many as it says, however its code is typed', async () => {
  const code = await invite(3)
  expect(code).toMatch(/^([0-9a-hjkmnp-tv-z]{4}-){4}[0-9a-hjkmnp-tv-z]{4}$/)
  for (const typed of [code, code.toUpperCase(), ` ${code.replaceAll('-', ' ')}`]) {
    expect(await register(typed)).toMatchObject({ ok: true })
  }
  expect(await register(code)).toMatchObject({
    ok: false,
    code: 'forbidden',
    message: 'this invitation has been used up',
  })
})

test('[H15] no code, a wrong one and an expired one are forbidden, each with its own sentence', async () => {
  const code = await invite(1)
  for (const none of [undefined, '']) {
    expect(await register(none)).toMatchObject({
      code: 'forbidden',
      message: 'registration needs an invitation',
    })
  }
  for (const wrong of ['x', `${code}x`, 'a'.repeat(50_000), '\0']) {
    expect(await register(wrong)).toMatchObject({
      code: 'forbidden',
      message: 'this invitation is not known',
    })
  }
  clockMs += dayMs
  expect(await register(code)).toMatchObject({
    code: 'forbidden',
    message: 'this invitation has expired',
  })
})

test('a code redeemed by many at once lets in as many as it has uses left', async () => {
  for (const uses of [1, 3]) {
    const code = await invite(uses)
    const results = await Promise.all(Array.from({ length: 8 }, () => register(code)))
    expect(results.filter((r) => r.ok)).toHaveLength(uses)
    for (const result of results) {
      if (!result.ok) expect(result).toMatchObject({ code: 'forbidden' })
    }
  }
})

test('the last use waits for one at work, and is refused when that one took it', async () => {
  const code = await invite(1)
  const username = `guest-${++names}`
  let late: ReturnType<typeof register> | undefined
  await tables.db.transaction(async (sql) => {
    await sql.query('select from invites where uses_left > 0 for update')
    late = register(code, username)
    await vi.waitFor(async () => expect(await waitingForLocks()).toBe(1), 10_000)
    await sql.query('update invites set uses_left = 0')
  })
  expect(await late).toMatchObject({ code: 'forbidden' })
  expect(await accounts.users.byUsername(username)).toBeUndefined()
})

async function waitingForLocks(): Promise<number> {
  const [row] = await tables.db.snapshot((sql) =>
    sql.query<{ waiting: number }>('select count(*) as waiting from pg_locks where not granted'),
  )
  return row?.waiting ?? 0
}

test('who is refused for another reason has not used the invitation', async () => {
  await tables.db.transaction((sql) => sql.query('delete from invites'))
  const code = await invite(2)
  expect(await register(code, 'taken-name')).toMatchObject({ ok: true })
  const both = await Promise.all([register(code, 'racing'), register(code, 'taken-name')])
  expect(both[0]).toMatchObject({ ok: true })
  expect(both[1]).toMatchObject({ ok: false })
  expect(await usesLeft()).toBe(0)
  const more = await invite(5)
  expect(await register(more, 'taken-name')).toMatchObject({ code: 'conflict' })
  expect(await register(more, 'No')).toMatchObject({ code: 'invalid' })
  const twins = await Promise.all([register(more, 'twin'), register(more, 'twin')])
  expect(twins.filter((r) => r.ok)).toHaveLength(1)
  expect(twins.find((r) => !r.ok)).toMatchObject({ code: 'conflict' })
  expect(await usesLeft()).toBe(4)
})

test('who has no invitation learns of no name whether it is taken', async () => {
  const code = await invite(1)
  expect(await register(code, 'hidden')).toMatchObject({ ok: true })
  expect(await register('wrong', 'hidden')).toMatchObject({ code: 'forbidden' })
})

test('[H15] an open registration asks for none and uses none; a closed one takes none', async () => {
  await tables.db.transaction((sql) => sql.query('delete from invites'))
  const code = await invite(1)
  const name = () => `guest-${++names}`
  expect(await register(code, name(), await instance('open'))).toMatchObject({ ok: true })
  expect(await register('wrong', name(), await instance('open'))).toMatchObject({ ok: true })
  expect(await register(code, name(), await instance('closed'))).toMatchObject({
    code: 'forbidden',
    message: 'registration is closed',
  })
  expect(await usesLeft()).toBe(1)
})

test('codes are not kept, and expired invitations go a month later', async () => {
  const code = await invite(1)
  const [row] = await tables.db.snapshot((sql) =>
    sql.query<{ text: string }>('select row_to_json(invites)::text as text from invites'),
  )
  const bare = code.replaceAll('-', '')
  for (const form of [
    code,
    bare,
    Buffer.from(code).toString('hex'),
    Buffer.from(bare).toString('hex'),
  ]) {
    expect(row?.text).not.toContain(form)
  }
  clockMs += 32 * dayMs
  await invite(1)
  expect(await usesLeft()).toBe(1)
})
