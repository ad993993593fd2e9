import { createMemoryBus } from '@parley/platform/memory/bus'
import type { Bus } from '@parley/platform/ports/bus'
import type { TestDatabase } from '@parley/platform/postgres/test-database'
import { channels, decodeUserNotice, type UserNotice } from '@parley/proto/fan-out'
import { newId } from '@parley/proto/ids'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openTables, testAccounts, testPassword } from '../http/test-world.ts'
import { type Accounts, type AccountsConfig, createAccounts, type SignedIn } from './accounts.ts'
import { maxSessions } from './sessions.ts'

let tables: TestDatabase
beforeAll(async () => {
  tables = await openTables()
}, 60_000)
afterAll(() => tables?.close())

const bus = createMemoryBus()
let clockMs = Date.now()
const now = () => clockMs
let names = 0

async function instance(config: Partial<AccountsConfig> = {}, onBus: Bus = bus): Promise<Accounts> {
  const accounts = await createAccounts(
    { ...testAccounts, ...config },
    { database: tables.db, bus: onBus, now },
  )
  return accounts
}

async function someone(accounts: Accounts): Promise<SignedIn> {
  const result = await accounts.register({ username: `user-${++names}`, password: testPassword })
  if (!result.ok) throw new Error(result.message)
  return result
}

async function sessionOf(accounts: Accounts, signedIn: SignedIn): Promise<string> {
  const verified = await accounts.verifyAccessToken(signedIn.accessToken)
  if (!verified.ok) throw new Error(verified.message)
  return verified.session
}

async function noticesOf(user: string): Promise<UserNotice[]> {
  const notices: UserNotice[] = []
  await bus.subscribe(channels.user(user), (payload) => notices.push(decodeUserNotice(payload)))
  return notices
}

test('register and login give a pair of tokens; the access token says who and until when', async () => {
  const accounts = await instance()
  const made = await accounts.register({
    username: 'ada',
    password: testPassword,
    displayName: 'Ada',
  })
  expect(made).toMatchObject({
    ok: true,
    user: { username: 'ada', displayName: 'Ada' },
    expiresIn: 900,
  })
  const login = await accounts.login({ username: 'ada', password: testPassword })
  if (!made.ok || !login.ok) throw new Error('not signed in')
  expect(login.user).toEqual(made.user)
  const verified = await accounts.verifyAccessToken(login.accessToken)
  expect(verified).toMatchObject({ ok: true, user: made.user.id })
  if (verified.ok) expect(verified.expiresAt).toBe(Math.floor(clockMs / 1000) * 1000 + 900_000)
  expect(await sessionOf(accounts, made)).not.toBe(await sessionOf(accounts, login))
})

test('a username is taken once, also by two at the same moment', async () => {
  const accounts = await instance()
  const both = await Promise.all([
    accounts.register({ username: 'twin', password: testPassword }),
    accounts.register({ username: 'twin', password: testPassword }),
  ])
  expect(both.filter((r) => r.ok)).toHaveLength(1)
  expect(both.find((r) => !r.ok)).toMatchObject({ code: 'conflict' })
  const later = await accounts.register({ username: 'twin', password: testPassword })
  expect(later).toMatchObject({ ok: false, code: 'conflict' })
})

test('an unknown name and a wrong password are answered alike', async () => {
  const accounts = await instance()
  const { user } = await someone(accounts)
  const wrong = await accounts.login({ username: user.username, password: 'wrong horse' })
  const unknown = await accounts.login({ username: 'nobody-here', password: testPassword })
  const impossible = await accounts.login({ username: 'No\0body', password: testPassword })
  expect(wrong).toMatchObject({ ok: false, code: 'unauthenticated' })
  expect(unknown).toEqual(wrong)
  expect(impossible).toEqual(wrong)
})

test('registration may be closed, or by invitation', async () => {
  const input = { username: 'late', password: testPassword }
  for (const registration of ['closed', 'invite'] as const) {
    const accounts = await instance({ registration })
    expect(await accounts.register(input)).toMatchObject({ ok: false, code: 'forbidden' })
    expect(await accounts.register({ ...input, invite: 'x' })).toMatchObject({ code: 'forbidden' })
  }
})

test('[H10] the refresh token just used gives its successor again for 30 s while that is unused', async () => {
  const accounts = await instance()
  const first = await someone(accounts)
  const second = await accounts.refresh(first.refreshToken)
  if (!second.ok) throw new Error(second.message)
  expect(second.user).toEqual(first.user)
  expect(second.refreshToken).not.toBe(first.refreshToken)
  clockMs += 29_999
  const again = await accounts.refresh(first.refreshToken)
  expect(again).toMatchObject({ ok: true, refreshToken: second.refreshToken })
  const third = await accounts.refresh(second.refreshToken)
  expect(third).toMatchObject({ ok: true })
  expect(await sessionOf(accounts, first)).toBe(await sessionOf(accounts, second))
})

test('[H10] the token just used, after 30 s, ends the session', async () => {
  const accounts = await instance()
  const first = await someone(accounts)
  const second = await accounts.refresh(first.refreshToken)
  if (!second.ok) throw new Error(second.message)
  clockMs += 30_000
  expect(await accounts.refresh(first.refreshToken)).toMatchObject({ code: 'unauthenticated' })
  expect(await accounts.refresh(second.refreshToken)).toMatchObject({ code: 'unauthenticated' })
})

test('[G11] [H10] an older token ends the session, its tokens and its sockets, and no other session', async () => {
  const accounts = await instance()
  const first = await someone(accounts)
  const other = await accounts.login({ username: first.user.username, password: testPassword })
  if (!other.ok) throw new Error(other.message)
  const session = await sessionOf(accounts, first)
  const notices = await noticesOf(first.user.id)
  const second = await accounts.refresh(first.refreshToken)
  if (!second.ok) throw new Error(second.message)
  const third = await accounts.refresh(second.refreshToken)
  if (!third.ok) throw new Error(third.message)

  expect(await accounts.refresh(first.refreshToken)).toMatchObject({ code: 'unauthenticated' })
  expect(await accounts.refresh(third.refreshToken)).toMatchObject({ code: 'unauthenticated' })
  expect(await accounts.verifyAccessToken(third.accessToken)).toMatchObject({
    ok: false,
    code: 'unauthenticated',
  })
  expect(await accounts.checkSessions([session])).toEqual([session])
  await vi.waitFor(() => expect(notices).toEqual([{ type: 'revoked', session }]))
  expect(await accounts.verifyAccessToken(other.accessToken)).toMatchObject({ ok: true })
  expect(await accounts.refresh(other.refreshToken)).toMatchObject({ ok: true })
})

test('two instances given the same token at once give the same successor', async () => {
  const instances = [await instance(), await instance(), await instance()]
  const first = await someone(instances[0] as Accounts)
  for (let token = first.refreshToken, round = 0; round < 5; round++) {
    const results = await Promise.all(
      Array.from({ length: 6 }, (_, i) => (instances[i % 3] as Accounts).refresh(token)),
    )
    const successors = new Set(results.map((r) => (r.ok ? r.refreshToken : r.message)))
    expect([...successors]).toHaveLength(1)
    expect(results.every((r) => r.ok)).toBe(true)
    token = [...successors][0] as string
  }
})

test('a renewal waits for one at work, and sees what that one left', async () => {
  const accounts = await instance()
  const first = await someone(accounts)
  const session = await sessionOf(accounts, first)
  let renewal: ReturnType<Accounts['refresh']> | undefined
  await tables.db.transaction(async (sql) => {
    await sql.query('select from sessions where id = $1 for update', [session])
    renewal = accounts.refresh(first.refreshToken)
    await vi.waitFor(async () => expect(await waitingForLocks()).toBe(1))
    await sql.query('update sessions set refresh_number = 2 where id = $1', [session])
  })
  expect(await renewal).toMatchObject({ ok: false, code: 'unauthenticated' })
  expect(await accounts.checkSessions([session])).toEqual([session])
})

async function waitingForLocks(): Promise<number> {
  const [row] = await tables.db.snapshot((sql) =>
    sql.query<{ waiting: number }>('select count(*) as waiting from pg_locks where not granted'),
  )
  return row?.waiting ?? 0
}

test('[H17] a session ends when its refresh token was not used for 60 days; each use begins anew', async () => {
  const accounts = await instance()
  const dayMs = 24 * 3_600_000
  const first = await someone(accounts)
  clockMs += 59 * dayMs
  const second = await accounts.refresh(first.refreshToken)
  if (!second.ok) throw new Error(second.message)
  const session = await sessionOf(accounts, second)
  clockMs += 59 * dayMs
  expect(await accounts.checkSessions([session])).toEqual([])
  clockMs += dayMs
  expect(await accounts.checkSessions([session])).toEqual([session])
  expect(await accounts.refresh(second.refreshToken)).toMatchObject({ code: 'unauthenticated' })
})

test('[G11] after logout the access token is refused: here and by the bus at once, without it in 3 s', async () => {
  const here = await instance()
  const there = await instance()
  const deaf = await instance({}, createMemoryBus())
  const me = await someone(here)
  const session = await sessionOf(here, me)
  const all = [here, there, deaf]
  for (const accounts of all) {
    expect(await accounts.verifyAccessToken(me.accessToken)).toMatchObject({ ok: true })
  }
  const notices = await noticesOf(me.user.id)
  expect(await here.endSession(me.user.id, session)).toEqual({ ok: true })
  expect(await here.verifyAccessToken(me.accessToken)).toMatchObject({ code: 'unauthenticated' })
  await vi.waitFor(async () =>
    expect(await there.verifyAccessToken(me.accessToken)).toMatchObject({ ok: false }),
  )
  expect(await deaf.verifyAccessToken(me.accessToken)).toMatchObject({ ok: true })
  clockMs += 3_000
  expect(await deaf.verifyAccessToken(me.accessToken)).toMatchObject({ code: 'unauthenticated' })
  expect(notices).toEqual([{ type: 'revoked', session }])
  expect(await here.refresh(me.refreshToken)).toMatchObject({ code: 'unauthenticated' })
  expect(await here.endSession(me.user.id, session)).toMatchObject({ code: 'not_found' })
})

test('a session is ended by its user alone', async () => {
  const accounts = await instance()
  const me = await someone(accounts)
  const stranger = await someone(accounts)
  const session = await sessionOf(accounts, me)
  expect(await accounts.endSession(stranger.user.id, session)).toMatchObject({ code: 'not_found' })
  expect(await accounts.checkSessions([session, newId()])).toHaveLength(1)
})

test('[G8] [H17] a user has at most 500 sessions: beyond, the least recently used ends', async () => {
  const accounts = await instance()
  const me = await someone(accounts)
  const session = await sessionOf(accounts, me)
  await tables.db.transaction((sql) =>
    sql.query(
      `insert into sessions (id, user_id, created_at, used_at, expires_at, rotated_at)
       select gen_random_uuid(), $1, $2, $2, $3, $2 from generate_series(1, $4::int)`,
      [me.user.id, new Date(clockMs + 1), new Date(clockMs + 100_000), maxSessions - 1],
    ),
  )
  expect(await accounts.listSessions(me.user.id, session)).toHaveLength(maxSessions)
  clockMs += 10
  const login = await accounts.login({ username: me.user.username, password: testPassword })
  if (!login.ok) throw new Error(login.message)
  const left = await accounts.listSessions(me.user.id, await sessionOf(accounts, login))
  expect(left).toHaveLength(maxSessions)
  expect(left[0]).toMatchObject({ current: true })
  expect(await accounts.checkSessions([session])).toEqual([session])
})

test('[G8] [L2] beyond the hashes that may wait, login and register are overloaded', async () => {
  const accounts = await instance({ passwordHashing: { concurrent: 1, waiting: 1 } })
  const attempts = await Promise.all(
    Array.from({ length: 6 }, () => accounts.login({ username: 'nobody', password: testPassword })),
  )
  const codes = attempts.map((r) => (r.ok ? 'ok' : r.code))
  expect(codes.filter((code) => code === 'overloaded')).toHaveLength(4)
  expect(codes.filter((code) => code === 'unauthenticated')).toHaveLength(2)
})
