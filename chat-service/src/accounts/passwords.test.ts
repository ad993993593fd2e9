import { createMemoryBus } from '@parley/platform/memory/bus'
import type { TestDatabase } from '@parley/platform/postgres/test-database'
import { channels, decodeUserNotice, type UserNotice } from '@parley/proto/fan-out'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openTables, testAccounts, testPassword } from '../http/test-world.ts'
import { type Accounts, createAccounts, type SignedIn } from './accounts.ts'

let tables: TestDatabase
let accounts: Accounts
const bus = createMemoryBus()
beforeAll(async () => {
  tables = await openTables()
  accounts = await createAccounts(testAccounts, { database: tables.db, bus })
}, 60_000)
afterAll(async () => {
  await accounts?.close()
  await tables?.close()
})

const next = 'battery staple correct'
let names = 0

async function someone(): Promise<SignedIn & { session: string }> {
  const made = await accounts.register({ username: `user-${++names}`, password: testPassword })
  return { ...signedIn(made), session: await sessionOf(signedIn(made)) }
}

function signedIn(result: Awaited<ReturnType<Accounts['login']>>): SignedIn {
  if (!result.ok) throw new Error(result.message)
  return result
}

async function sessionOf({ accessToken }: SignedIn): Promise<string> {
  const verified = await accounts.verifyAccessToken(accessToken)
  if (!verified.ok) throw new Error(verified.message)
  return verified.session
}

const claimOf = ({ user, session }: { user: { id: string }; session: string }) => ({
  user: user.id,
  session,
})
const login = (username: string, password: string) => accounts.login({ username, password })

test('[G11] [H14] a new password ends every other session and its tokens; the caller’s stays', async () => {
  const me = await someone()
  const other = signedIn(await login(me.user.username, testPassword))
  const third = signedIn(await login(me.user.username, testPassword))
  const stranger = await someone()
  const ended = [await sessionOf(other), await sessionOf(third)]
  const notices: UserNotice[] = []
  await bus.subscribe(channels.user(me.user.id), (p) => notices.push(decodeUserNotice(p)))

  const change = { currentPassword: testPassword, password: next }
  expect(await accounts.changePassword(claimOf(me), change)).toEqual({ ok: true })

  for (const token of [other, third]) {
    expect(await accounts.verifyAccessToken(token.accessToken)).toMatchObject({
      code: 'unauthenticated',
    })
    expect(await accounts.refresh(token.refreshToken)).toMatchObject({ code: 'unauthenticated' })
  }
  await vi.waitFor(() => expect(notices).toHaveLength(2))
  const told = notices.map((n) => (n.type === 'revoked' ? n.session : n.type))
  expect(told.toSorted()).toEqual(ended.toSorted())
  expect(await accounts.verifyAccessToken(me.accessToken)).toMatchObject({ ok: true })
  expect(await accounts.refresh(me.refreshToken)).toMatchObject({ ok: true })
  expect(await accounts.verifyAccessToken(stranger.accessToken)).toMatchObject({ ok: true })
  expect(await login(me.user.username, testPassword)).toMatchObject({ code: 'unauthenticated' })
  expect(await login(me.user.username, next)).toMatchObject({ ok: true })
})

test('[H14] a wrong present password is forbidden and changes nothing', async () => {
  const me = await someone()
  const other = signedIn(await login(me.user.username, testPassword))
  for (const currentPassword of ['wrong horse', '', 'a'.repeat(60_000)]) {
    const change = { currentPassword, password: next }
    expect(await accounts.changePassword(claimOf(me), change)).toMatchObject({ code: 'forbidden' })
  }
  expect(await accounts.verifyAccessToken(other.accessToken)).toMatchObject({ ok: true })
  expect(await login(me.user.username, testPassword)).toMatchObject({ ok: true })
})

test('[H5] the new password has 8 to 256 characters', async () => {
  const me = await someone()
  for (const password of ['1234567', 'a'.repeat(257)]) {
    const change = { currentPassword: testPassword, password }
    expect(await accounts.changePassword(claimOf(me), change)).toMatchObject({ code: 'invalid' })
  }
})

test('of two changes at once, both with the present password, one counts', async () => {
  const me = await someone()
  const passwords = ['the first of two', 'the second of two']
  const { changes } = await tables.db.transaction(async (sql) => {
    /* Held until both have seen that the present password is right. */
    await sql.query('select from credentials where user_id = $1 for update', [me.user.id])
    const asked = passwords.map((password) =>
      accounts.changePassword(claimOf(me), { currentPassword: testPassword, password }),
    )
    await vi.waitFor(async () => expect(await waitingForLocks()).toBe(2), 10_000)
    return { changes: asked }
  })
  const results = await Promise.all(changes)
  expect(results.filter((r) => r.ok)).toHaveLength(1)
  expect(results.find((r) => !r.ok)).toMatchObject({ code: 'forbidden' })
  const works = await Promise.all(passwords.map((p) => login(me.user.username, p)))
  expect(works.map((r) => r.ok)).toEqual(results.map((r) => r.ok))
})

test('[G11] a login with the old password, checked before the change, begins no session after it', async () => {
  const me = await someone()
  let late: ReturnType<typeof login> | undefined
  await tables.db.transaction(async (sql) => {
    /* As a change does: the row is held, and the login has read the old hash before it waits. */
    await sql.query('select from credentials where user_id = $1 for update', [me.user.id])
    late = login(me.user.username, testPassword)
    await vi.waitFor(async () => expect(await waitingForLocks()).toBe(1), 10_000)
    await sql.query(
      `update credentials set password_hash = password_hash || ' ' where user_id = $1`,
      [me.user.id],
    )
  })
  expect(await late).toMatchObject({ code: 'unauthenticated' })
  expect(await accounts.listSessions(me.user.id, me.session)).toHaveLength(1)
})

async function waitingForLocks(): Promise<number> {
  const [row] = await tables.db.snapshot((sql) =>
    sql.query<{ waiting: number }>('select count(*) as waiting from pg_locks where not granted'),
  )
  return row?.waiting ?? 0
}

test('[G8] beyond the hashes that may wait, a change is overloaded', async () => {
  const bounded = await createAccounts(
    { ...testAccounts, passwordHashing: { concurrent: 1, waiting: 1 } },
    { database: tables.db, bus },
  )
  const me = await someone()
  const results = await Promise.all(
    Array.from({ length: 20 }, () =>
      bounded.changePassword(claimOf(me), { currentPassword: 'wrong horse', password: next }),
    ),
  )
  const codes = results.map((r) => (r.ok ? 'ok' : r.code))
  expect(new Set(codes)).toEqual(new Set(['forbidden', 'overloaded']))
  await bounded.close()
})
