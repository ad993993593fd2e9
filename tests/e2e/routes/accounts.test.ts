import { createPublicKey, verify } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { eventually } from '../harness/deadline.ts'
import { uuid4, uuid7 } from '../harness/ids.ts'
import { type Person, password } from '../harness/people.ts'
import { expectNoContent, expectProblem, setUpRoutes } from './calls.ts'

const routes = setUpRoutes()
let names = 0
const newName = () => `user_${Date.now().toString(36)}.${++names}`

const signedIn = (user: unknown) => ({
  user,
  accessToken: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
  refreshToken: expect.stringMatching(/./),
  expiresIn: 900,
})

describe('POST /v1/auth/register', () => {
  const register = (body: unknown) => routes().ask(undefined, 'POST', '/v1/auth/register', body)

  test('[H3][H5] 201, at the bounds of each field', async () => {
    const good = { password }
    const bodies = [
      { ...good, username: `${newName()}-` },
      { ...good, username: `abc${(++names).toString(36)}`.slice(-3) },
      { ...good, username: newName().padEnd(32, 'x') },
      { username: newName(), password: '12345678' },
      { username: newName(), password: '€'.repeat(256) },
      { ...good, username: newName(), displayName: '😀'.repeat(128) },
      { ...good, username: newName(), displayName: 'x' },
      { ...good, username: newName(), displayName: null, invite: null },
      { ...good, username: newName(), unknown: { field: [1] }, invite: 'not asked for' },
    ]
    for (const body of bodies) {
      const answer = await register(body)
      const { username } = body
      const displayName =
        'displayName' in body && body.displayName ? body.displayName : expect.any(String)
      const user = { id: expect.stringMatching(/^[0-9a-f]{8}-/), username, displayName }
      expect([answer.status, answer.body], answer.text).toEqual([201, signedIn(user)])
    }
  })

  test.each<[string, unknown]>([
    ['a username of 2', { username: 'ab', password }],
    ['a username of 33', { username: 'a'.repeat(33), password }],
    ['a username in upper case', { username: 'Someone', password }],
    ['a username with a space', { username: 'some one', password }],
    ['a username of other letters', { username: 'zoë', password }],
    ['a username with U+0000', { username: 'some\u0000one', password }],
    ['a username with a newline behind', { username: 'someone\n', password }],
    ['a number for a username', { username: 12345, password }],
    ['no username', { password }],
    ['a password of 7', { username: 'someone', password: '1234567' }],
    ['a password of 257', { username: 'someone', password: 'x'.repeat(257) }],
    ['a number for a password', { username: 'someone', password: 1234567890 }],
    ['no password', { username: 'someone' }],
    ['an empty display name', { username: 'someone', password, displayName: '' }],
    ['a display name of 129', { username: 'someone', password, displayName: 'x'.repeat(129) }],
    ['a list for a display name', { username: 'someone', password, displayName: ['x'] }],
    [
      'half a character in a display name',
      `{"username":"someone","password":"${password}","displayName":"\\ud83d"}`,
    ],
    ['a list', []],
    ['null', 'null'],
    ['nothing', undefined],
  ])('[H5][H2] %s is invalid', async (_name, body) => {
    expectProblem(await register(body), 'invalid')
  })

  test('[H5] a username is one person’s', async () => {
    const { ann } = routes()
    expectProblem(await register({ username: ann.username, password }), 'conflict')
  })
})

describe('POST /v1/auth/login, refresh, logout', () => {
  test('[H3] login and refresh answer alike; logout ends it all', async () => {
    const { world, ask } = routes()
    const person = await world.register()
    const user = { id: person.id, username: person.username, displayName: expect.any(String) }
    const login = { username: person.username, password }
    const first = await ask(undefined, 'POST', '/v1/auth/login', login)
    expect([first.status, first.body]).toEqual([200, signedIn(user)])
    const { refreshToken } = first.body
    const second = await ask(undefined, 'POST', '/v1/auth/refresh', { refreshToken })
    expect([second.status, second.body]).toEqual([200, signedIn(user)])
    const session: Person = { ...person, ...second.body }
    expectNoContent(await ask(session, 'POST', '/v1/auth/logout'))
    const again = { refreshToken: second.body.refreshToken }
    expectProblem(await ask(undefined, 'POST', '/v1/auth/refresh', again), 'unauthenticated')
    await eventually('the session’s access token is refused', async () => {
      return (await ask(session, 'GET', '/v1/users/me')).status === 401
    })
    expect((await ask(person, 'GET', '/v1/users/me')).status).toBe(200)
  })

  test('[H10] an older refresh token ends the session', async () => {
    const { world, ask } = routes()
    const { refreshToken } = await world.register()
    const renew = async (token: string) =>
      ask(undefined, 'POST', '/v1/auth/refresh', { refreshToken: token })
    const second = (await renew(refreshToken)).body.refreshToken
    expect((await renew(refreshToken)).body.refreshToken).toBe(second)
    const third = (await renew(second)).body.refreshToken
    expectProblem(await renew(refreshToken), 'unauthenticated')
    expectProblem(await renew(third), 'unauthenticated')
  })

  test.each<[string, string, unknown, string]>([
    ['a wrong password', 'login', { username: 'nobody-here', password }, 'unauthenticated'],
    ['no password', 'login', { username: 'nobody-here' }, 'invalid'],
    ['a number', 'login', { username: 5, password }, 'invalid'],
    ['a username with U+0000', 'login', { username: 'a\u0000b', password }, 'unauthenticated'],
    [
      'a password of 10,000',
      'login',
      { username: 'nobody', password: 'x'.repeat(10_000) },
      'unauthenticated',
    ],
    ['no token of ours', 'refresh', { refreshToken: 'abc' }, 'unauthenticated'],
    ['an empty token', 'refresh', { refreshToken: '' }, 'unauthenticated'],
    ['no token', 'refresh', {}, 'invalid'],
    ['a list', 'refresh', { refreshToken: ['abc'] }, 'invalid'],
  ])('[H2] %s for %s', async (_name, call, body, code) => {
    const answer = await routes().ask(undefined, 'POST', `/v1/auth/${call}`, body)
    // A value that can be nobody's may be told apart, as long as it tells nothing of who exists.
    if (code === 'unauthenticated' && answer.status === 400) expectProblem(answer, 'invalid')
    else expectProblem(answer, code)
  })
})

describe('sessions', () => {
  test('[H17] one’s own are listed, and ended one by one', async () => {
    const { world, ask, ann } = routes()
    const person = await world.register()
    const login = { username: person.username, password }
    const other: Person = {
      ...person,
      ...(await ask(undefined, 'POST', '/v1/auth/login', login)).body,
    }
    const { status, body } = await ask(person, 'GET', '/v1/sessions')
    expect(status).toBe(200)
    expect(Object.keys(body)).toEqual(['sessions'])
    expect(body.sessions).toHaveLength(2)
    for (const session of body.sessions) {
      const { device, ...rest } = session
      expect(['string', 'undefined']).toContain(typeof device)
      expect(rest).toEqual({
        id: expect.stringMatching(/^[0-9a-f]{8}-/),
        createdAt: expect.any(Number),
        usedAt: expect.any(Number),
        expiresAt: expect.any(Number),
        current: expect.any(Boolean),
      })
      expect(session.expiresAt).toBeGreaterThan(Date.now())
    }
    expect(body.sessions.filter((s: { current: boolean }) => s.current)).toHaveLength(1)
    const { id } = body.sessions.find((s: { current: boolean }) => !s.current)
    expectProblem(await ask(ann, 'DELETE', `/v1/sessions/${id}`), 'not_found')
    expectNoContent(await ask(person, 'DELETE', `/v1/sessions/${id}`))
    await eventually('its access token is refused', async () => {
      return (await ask(other, 'GET', '/v1/users/me')).status === 401
    })
    expect((await ask(person, 'GET', '/v1/sessions')).body.sessions).toHaveLength(1)
    expectProblem(await ask(person, 'DELETE', `/v1/sessions/${uuid7()}`), 'not_found')
    expectProblem(await ask(person, 'DELETE', '/v1/sessions/this-one'), 'invalid')
  })
})

describe('GET /.well-known/jwks.json', () => {
  test('[T1][T2][T3] the key that signed is there, and its token holds what it must', async () => {
    const { ask, ann } = routes()
    const { status, body } = await ask(undefined, 'GET', '/.well-known/jwks.json')
    expect(status).toBe(200)
    const [head, claims, signature] = ann.accessToken.split('.') as [string, string, string]
    const part = (text: string) => JSON.parse(Buffer.from(text, 'base64url').toString())
    const { kid } = part(head)
    expect(part(head)).toEqual({ alg: 'EdDSA', typ: 'at+jwt', kid })
    const { iat, exp, sid, ...who } = part(claims)
    expect(who).toMatchObject({ iss: 'parley', aud: 'parley', sub: ann.id })
    expect(exp - iat).toBe(900)
    expect(sid).toMatch(/^[0-9a-f]{8}-/)
    const jwk = body.keys.find((key: { kid: string }) => key.kid === kid)
    expect(jwk).toMatchObject({ kty: 'OKP', crv: 'Ed25519' })
    for (const key of body.keys) expect(key).not.toHaveProperty('d')
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const signed = Buffer.from(`${head}.${claims}`)
    expect(verify(null, signed, key, Buffer.from(signature, 'base64url'))).toBe(true)
  })
})

describe('users', () => {
  test('[H3] oneself, by name of route and by id; the display name changes', async () => {
    const { world, ask, ann } = routes()
    const person = await world.register()
    const { body: me } = await ask(person, 'GET', '/v1/users/me')
    expect(me).toEqual({
      id: person.id,
      username: person.username,
      displayName: expect.any(String),
    })
    expect((await ask(ann, 'GET', `/v1/users/${person.id}`)).body).toEqual(me)
    const renamed = await ask(person, 'PATCH', '/v1/users/me', { displayName: 'Ann Ä 安' })
    expect([renamed.status, renamed.body]).toEqual([200, { ...me, displayName: 'Ann Ä 安' }])
    for (const body of [{}, { displayName: null }, { username: 'another' }]) {
      const { status, body: same } = await ask(person, 'PATCH', '/v1/users/me', body)
      expect([status, same]).toEqual([200, renamed.body])
    }
    expect((await ask(ann, 'GET', `/v1/users/${person.id}`)).body).toEqual(renamed.body)
    for (const displayName of ['', 'x'.repeat(129), 5, ['x']]) {
      expectProblem(await ask(person, 'PATCH', '/v1/users/me', { displayName }), 'invalid')
    }
    expectProblem(await ask(person, 'GET', `/v1/users/${uuid4()}`), 'not_found')
    expectProblem(await ask(person, 'GET', '/v1/users/ann'), 'invalid')
  })

  test('[H16][H4] they are searched, in pages', async () => {
    const { world, ask, ann } = routes()
    const stem = `s${Date.now().toString(36)}`
    const people = []
    for (let i = 0; i < 5; i++) people.push(await world.register(`${stem}${i}`))
    const found: string[] = []
    for (let query = `query=${stem}&limit=2`; query !== ''; ) {
      const { status, body } = await ask(ann, 'GET', `/v1/users?${query}`)
      expect(status).toBe(200)
      expect(body.users.length).toBeLessThanOrEqual(2)
      for (const user of body.users)
        expect(Object.keys(user)).toEqual(['id', 'username', 'displayName'])
      found.push(...body.users.map((user: { id: string }) => user.id))
      query =
        body.next === undefined
          ? ''
          : `query=${stem}&limit=2&cursor=${encodeURIComponent(body.next)}`
    }
    expect(found.toSorted()).toEqual(people.map((p) => p.id).sort())
    expect((await ask(ann, 'GET', `/v1/users?query=${stem}`)).body).not.toHaveProperty('next')
    expect((await ask(ann, 'GET', '/v1/users?query=%25')).body).toEqual({ users: [] })
    const bad = ['', 'query=', 'limit=5', `query=${stem}&limit=501`, `query=${stem}&limit=0`]
    for (const query of [
      ...bad,
      `query=${stem}&limit=2.0`,
      `query=${stem}&cursor=%00`,
      'query=%00',
    ]) {
      expectProblem(await ask(ann, 'GET', `/v1/users?${query}`), 'invalid')
    }
  })

  test('[H14][G11] a new password: the other sessions end, the old password holds no more', async () => {
    const { world, ask } = routes()
    const person = await world.register()
    const login = (word: string) =>
      ask(undefined, 'POST', '/v1/auth/login', { username: person.username, password: word })
    const other: Person = { ...person, ...(await login(password)).body }
    const put = (body: unknown) => ask(person, 'PUT', '/v1/users/me/password', body)
    const next = 'another long enough one'
    for (const body of [
      { password: next },
      { currentPassword: password },
      { currentPassword: password, password: 'short' },
      { currentPassword: password, password: 'x'.repeat(257) },
      { currentPassword: 5, password: next },
    ]) {
      expectProblem(await put(body), 'invalid')
    }
    const wrong = await put({ currentPassword: 'not this one', password: next })
    expectProblem(wrong, 'forbidden')
    expect((await ask(other, 'GET', '/v1/users/me')).status).toBe(200)
    expectNoContent(await put({ currentPassword: password, password: next }))
    await eventually('the other session ends', async () => {
      return (await ask(other, 'GET', '/v1/users/me')).status === 401
    })
    expect((await ask(person, 'GET', '/v1/users/me')).status).toBe(200)
    expectProblem(await login(password), 'unauthenticated')
    expect((await login(next)).status).toBe(200)
  })
})

test('[H3] GET /v1/gateway tells where the sockets are', async () => {
  const { ask, ann, stack } = routes()
  const { status, body } = await ask(ann, 'GET', '/v1/gateway')
  expect([status, body]).toEqual([
    200,
    { urls: stack.wsUrls, protocols: ['parley.v1.msgpack', 'parley.v1.json'] },
  ])
})
