import { newId } from '@parley/proto/ids'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeInvite } from '../accounts/invites.ts'
import { openTestWorld, type TestWorld, testPassword } from './test-world.ts'

let world: TestWorld
beforeAll(async () => {
  world = await openTestWorld()
}, 60_000)
afterAll(() => world?.close())

const post = (url: string, payload?: object) =>
  world.call(undefined, payload ? { method: 'POST', url, payload } : { method: 'POST', url })

test('register answers 201, login and refresh 200, with the user and a pair of tokens', async () => {
  const form = {
    user: { id: expect.any(String), username: 'ada', displayName: 'Ada L.' },
    accessToken: expect.any(String),
    refreshToken: expect.any(String),
    expiresIn: 900,
  }
  const account = { username: 'ada', password: testPassword }
  const registered = await post('/v1/auth/register', { ...account, displayName: 'Ada L.' })
  expect([registered.status, registered.body]).toEqual([201, form])
  const login = await post('/v1/auth/login', account)
  expect([login.status, login.body]).toEqual([200, form])
  const refreshed = await post('/v1/auth/refresh', { refreshToken: login.body.refreshToken })
  expect([refreshed.status, refreshed.body]).toEqual([200, form])
  expect(refreshed.headers['cache-control']).toBe('no-store')
})

test('[H1] the display name is the username unless given; null means absent; unknown fields are ignored', async () => {
  const answer = await post('/v1/auth/register', {
    username: 'plain',
    password: testPassword,
    displayName: null,
    invite: null,
    id: newId(),
    isAdmin: true,
  })
  expect(answer.status).toBe(201)
  expect(answer.body.user).toEqual({
    id: expect.any(String),
    username: 'plain',
    displayName: 'plain',
  })
})

test('[H5] a taken username is 409 conflict', async () => {
  await world.person('taken')
  const answer = await post('/v1/auth/register', { username: 'taken', password: testPassword })
  expect([answer.status, answer.body.code]).toEqual([409, 'conflict'])
})

test('[H1] what breaks the rules of register is 400 invalid and names the field', async () => {
  const fine = { username: 'someone', password: testPassword }
  const cases: [object, string][] = [
    [{ password: testPassword }, 'username'],
    [{ username: 'someone' }, 'password'],
    [{ ...fine, username: null }, 'username'],
    [{ ...fine, username: 5 }, 'username'],
    [{ ...fine, username: ['someone'] }, 'username'],
    [{ ...fine, username: 'Someone' }, 'username'],
    [{ ...fine, username: 'so' }, 'username'],
    [{ ...fine, password: '1234567' }, 'password'],
    [{ ...fine, password: 12345678 }, 'password'],
    [{ ...fine, password: 'a'.repeat(257) }, 'password'],
    [{ ...fine, displayName: '' }, 'displayName'],
    [{ ...fine, displayName: 'a\u0000b' }, 'displayName'],
    [{ ...fine, displayName: {} }, 'displayName'],
  ]
  for (const [payload, field] of cases) {
    const { status, body } = await post('/v1/auth/register', payload)
    expect([status, body.code], JSON.stringify(payload)).toEqual([400, 'invalid'])
    expect(body.detail).toContain(field)
  }
})

test('a wrong password and an unknown name are the same 401', async () => {
  await world.person('known')
  const wrong = await post('/v1/auth/login', { username: 'known', password: 'not this one' })
  const unknown = await post('/v1/auth/login', { username: 'unknown', password: testPassword })
  expect([wrong.status, wrong.body.code]).toEqual([401, 'unauthenticated'])
  expect([unknown.status, unknown.body]).toEqual([401, wrong.body])
  expect(wrong.headers['www-authenticate']).toMatch(/^Bearer/)
  const strict = await post('/v1/auth/login', { username: 'known', password: 5 })
  expect([strict.status, strict.body.code]).toEqual([400, 'invalid'])
})

test('a refresh token that is none is 401', async () => {
  for (const refreshToken of ['', 'nonsense', 'a'.repeat(60_000)]) {
    const { status, body } = await post('/v1/auth/refresh', { refreshToken })
    expect([status, body.code]).toEqual([401, 'unauthenticated'])
  }
  expect((await post('/v1/auth/refresh', {})).body.detail).toContain('refreshToken')
})

test('[G11] after logout the tokens of the session hold no longer', async () => {
  const me = await world.person()
  const out = await world.call(me, { method: 'POST', url: '/v1/auth/logout' })
  expect([out.status, out.body]).toEqual([204, ''])
  const after = await world.call(me, { url: '/v1/users/me' })
  expect([after.status, after.body.code]).toEqual([401, 'unauthenticated'])
  const refreshed = await post('/v1/auth/refresh', { refreshToken: me.refreshToken })
  expect(refreshed.status).toBe(401)
})

test('logout takes an empty body that calls itself JSON', async () => {
  const me = await world.person()
  const headers = { 'content-type': 'application/json' }
  const out = await world.call(me, { method: 'POST', url: '/v1/auth/logout', headers })
  expect(out.status).toBe(204)
})

test('[H17] one sees and ends one’s sessions, and nobody else’s', async () => {
  const me = await world.person()
  const phone = await world.call(undefined, {
    method: 'POST',
    url: '/v1/auth/login',
    payload: { username: me.username, password: testPassword },
    headers: { 'user-agent': 'Phone/1\x7f' },
  })
  const list = await world.call(me, { url: '/v1/sessions' })
  expect(list.status).toBe(200)
  expect(list.body.sessions).toHaveLength(2)
  const other = list.body.sessions.find((s: { current: boolean }) => !s.current)
  expect(other).toEqual({
    id: expect.any(String),
    device: 'Phone/1',
    createdAt: expect.any(Number),
    usedAt: expect.any(Number),
    expiresAt: expect.any(Number),
    current: false,
  })
  const url = `/v1/sessions/${other.id}`
  const stranger = await world.person()
  expect((await world.call(stranger, { method: 'DELETE', url })).status).toBe(404)
  expect((await world.call(me, { method: 'DELETE', url })).status).toBe(204)
  expect((await world.call(me, { method: 'DELETE', url })).status).toBe(404)
  expect((await world.call(phone.body, { url: '/v1/users/me' })).status).toBe(401)
  expect((await world.call(me, { url: '/v1/sessions' })).body.sessions).toHaveLength(1)
})

test('[H14] one changes one’s password; the caller’s session stays, the others end', async () => {
  const me = await world.person()
  const phone = await post('/v1/auth/login', { username: me.username, password: testPassword })
  const put = (payload: object) =>
    world.call(me, { method: 'PUT', url: '/v1/users/me/password', payload })
  const password = 'battery staple correct'
  const wrong = await put({ currentPassword: 'not this one', password })
  expect([wrong.status, wrong.body.code]).toEqual([403, 'forbidden'])
  for (const [payload, field] of [
    [{ password }, 'currentPassword'],
    [{ currentPassword: testPassword }, 'password'],
    [{ currentPassword: testPassword, password: 'short' }, 'password'],
    [{ currentPassword: 5, password }, 'currentPassword'],
  ] as const) {
    const { status, body } = await put(payload)
    expect([status, body.code]).toEqual([400, 'invalid'])
    expect(body.detail).toContain(field)
  }
  expect((await world.call(phone.body, { url: '/v1/users/me' })).status).toBe(200)
  const changed = await put({ currentPassword: testPassword, password })
  expect([changed.status, changed.body]).toEqual([204, ''])
  expect((await world.call(phone.body, { url: '/v1/users/me' })).status).toBe(401)
  expect((await world.call(me, { url: '/v1/users/me' })).status).toBe(200)
  const login = (p: string) => post('/v1/auth/login', { username: me.username, password: p })
  expect((await login(testPassword)).status).toBe(401)
  expect((await login(password)).status).toBe(200)
  const url = '/v1/users/me/password'
  expect((await world.call(undefined, { method: 'PUT', url, payload: {} })).status).toBe(401)
})

test('[H15] by invitation: 403 without one that holds, 201 with it', async () => {
  const tables = { db: world.database, close: async () => {} }
  const invited = await openTestWorld({ registration: 'invite' }, tables)
  const register = (payload: object) =>
    invited.call(undefined, { method: 'POST', url: '/v1/auth/register', payload })
  const account = { username: 'invited', password: testPassword }
  for (const payload of [account, { ...account, invite: 'abcd-efgh' }]) {
    const { status, body } = await register(payload)
    expect([status, body.code]).toEqual([403, 'forbidden'])
    expect(body.detail).toContain('invitation')
  }
  const options = { uses: 1, lifeMs: 60_000, nowMs: Date.now() }
  const invite = await makeInvite(world.database, options)
  expect((await register({ ...account, invite: 5 })).status).toBe(400)
  expect((await register({ ...account, invite })).status).toBe(201)
  expect((await register({ ...account, username: 'second', invite })).body.detail).toContain(
    'used up',
  )
  await invited.close()
})

test('[T3] the JWKS needs no token and may be kept for a while', async () => {
  const { status, body, headers } = await world.call(undefined, { url: '/.well-known/jwks.json' })
  expect(status).toBe(200)
  expect(body.keys[0]).toEqual({
    kty: 'OKP',
    crv: 'Ed25519',
    x: expect.any(String),
    kid: expect.any(String),
    alg: 'EdDSA',
    use: 'sig',
  })
  expect(headers['cache-control']).toBe('public, max-age=300')
})

test('one reads and changes oneself, and reads others', async () => {
  const me = await world.person()
  const self = { id: me.id, username: me.username, displayName: me.username }
  expect((await world.call(me, { url: '/v1/users/me' })).body).toEqual(self)
  const patch = (payload: object) =>
    world.call(me, { method: 'PATCH', url: '/v1/users/me', payload })
  const named = await patch({ displayName: 'Grâce 🙂' })
  expect([named.status, named.body]).toEqual([200, { ...self, displayName: 'Grâce 🙂' }])
  expect((await patch({ displayName: null })).body.displayName).toBe('Grâce 🙂')
  expect((await patch({ displayName: ' ' })).body.code).toBe('invalid')
  expect((await patch({ displayName: 7 })).body.code).toBe('invalid')
  const stranger = await world.person()
  const seen = await world.call(stranger, { url: `/v1/users/${me.id}` })
  expect(seen.body).toEqual({ ...self, displayName: 'Grâce 🙂' })
  expect((await world.call(me, { url: `/v1/users/${newId()}` })).body.code).toBe('not_found')
  for (const malformed of ['x', me.id.toUpperCase(), `${me.id}0`, '%00']) {
    const { status, body } = await world.call(me, { url: `/v1/users/${malformed}` })
    expect([status, body.code], malformed).toEqual([400, 'invalid'])
  }
})

test('[H16] users are searched by the beginning of their names, page by page', async () => {
  const me = await world.person('zed')
  for (const name of ['search-a', 'search-b', 'search-c', 'search_d']) await world.person(name)
  const named = { displayName: 'Search Party' }
  await world.call(me, { method: 'PATCH', url: '/v1/users/me', payload: named })
  const search = (query: string) => world.call(me, { url: `/v1/users?${query}` })
  const names = (users: { username: string }[]) => users.map((u) => u.username)

  const all = await search('query=SEARCH')
  expect(all.body.next).toBeUndefined()
  expect(names(all.body.users).toSorted()).toEqual(
    ['search-a', 'search-b', 'search-c', 'search_d', 'zed'].toSorted(),
  )
  expect(names((await search('query=search_')).body.users)).toEqual(['search_d'])
  expect(names((await search('query=%25')).body.users)).toEqual([])
  const found: string[] = []
  let cursor = ''
  for (let pages = 0; pages < 10; pages++) {
    const { body } = await search(`query=search&limit=2${cursor}`)
    expect(body.users.length).toBeLessThanOrEqual(2)
    found.push(...names(body.users))
    if (body.next === undefined) break
    cursor = `&cursor=${body.next}`
  }
  expect(found).toEqual(names(all.body.users))
})

test('a search that is none is invalid', async () => {
  const me = await world.person()
  const wrong = [
    '',
    'query=',
    `query=${'a'.repeat(129)}`,
    'query=%00',
    'query=a&query=b',
    'query=a&cursor=%00',
    'query=a&cursor=A B',
  ]
  for (const query of wrong) {
    const { status, body } = await world.call(me, { url: `/v1/users?${query}` })
    expect([status, body.code], query).toEqual([400, 'invalid'])
  }
})
