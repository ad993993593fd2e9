import { createPublicKey, type JsonWebKey, verify } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, within } from './harness/deadline.ts'
import { password, type SignedIn, type World, worldOf } from './harness/people.ts'
import type { Stack } from './harness/stack.ts'
import { startStandalone } from './harness/standalone-server.ts'

let stack: Stack
let world: World

beforeAll(async () => {
  stack = await startStandalone()
  world = worldOf(stack)
}, 90_000)
afterAll(() => stack?.dispose())

function refresh(refreshToken: string): Promise<SignedIn> {
  return world.http.call('POST', '/v1/auth/refresh', { body: { refreshToken } })
}
function refusedRefresh(refreshToken: string) {
  return world.http.problem('POST', '/v1/auth/refresh', { body: { refreshToken } })
}
function login(username: string): Promise<SignedIn> {
  return world.http.call('POST', '/v1/auth/login', { body: { username, password } })
}

test('who registers can log in, and is who they said', async () => {
  const username = `ann.${Date.now()}`
  const registered = await world.http.call<SignedIn>('POST', '/v1/auth/register', {
    body: { username, password, displayName: 'Ann Ä 安' },
    expect: 201,
  })
  expect(registered).toMatchObject({
    user: { username, displayName: 'Ann Ä 安' },
    expiresIn: 900,
    accessToken: expect.any(String),
    refreshToken: expect.any(String),
  })
  const again = await login(username)
  expect(again.user).toEqual(registered.user)
  const token = again.accessToken
  expect(await world.http.call('GET', '/v1/users/me', { token })).toEqual(registered.user)
  expect(await world.http.call('GET', `/v1/users/${registered.user.id}`, { token })).toEqual(
    registered.user,
  )
  const found = await world.http.call<{ users: unknown[] }>('GET', `/v1/users?query=${username}`, {
    token,
  })
  expect(found.users).toContainEqual(registered.user)
  await world.http.call('PATCH', '/v1/users/me', { token, body: { displayName: 'Anna' } })
  expect(await world.http.call('GET', '/v1/users/me', { token })).toMatchObject({
    displayName: 'Anna',
  })
})

test('a wrong password and an unknown user are the same answer', async () => {
  const { username } = await world.register()
  const wrong = await world.http.problem('POST', '/v1/auth/login', {
    body: { username, password: 'not this one' },
  })
  const unknown = await world.http.problem('POST', '/v1/auth/login', {
    body: { username: 'nobody-at-all', password: 'not this one' },
  })
  expect(wrong).toMatchObject({ status: 401, code: 'unauthenticated' })
  expect(unknown.document).toEqual(wrong.document)
})

test('[T3] access tokens verify with a key of the JWK Set', async () => {
  const { accessToken, id } = await world.register()
  const { keys } = await world.http.call<{ keys: (JsonWebKey & { kid: string })[] }>(
    'GET',
    '/.well-known/jwks.json',
  )
  const [head, claims, signature] = accessToken.split('.') as [string, string, string]
  const header = JSON.parse(Buffer.from(head, 'base64url').toString())
  expect(header.alg).toBe('EdDSA')
  const jwk = keys.find((key) => key.kid === header.kid)
  if (jwk === undefined) throw new Error(`no key ${header.kid}`)
  expect(jwk).not.toHaveProperty('d')
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
  const signed = Buffer.from(`${head}.${claims}`)
  expect(verify(null, signed, key, Buffer.from(signature, 'base64url'))).toBe(true)
  expect(JSON.parse(Buffer.from(claims, 'base64url').toString()).sub).toBe(id)
})

test('[H10] a refresh token just used gives its successor again while that is unused', async () => {
  const person = await world.register()
  const first = await refresh(person.refreshToken)
  expect(first.user.id).toBe(person.id)
  expect(first.refreshToken).not.toBe(person.refreshToken)
  const again = await refresh(person.refreshToken)
  expect(again.refreshToken).toBe(first.refreshToken)
  const both = await Promise.all([refresh(first.refreshToken), refresh(first.refreshToken)])
  expect(both[0].refreshToken).toBe(both[1].refreshToken)
})

test('[G11] [H10] an older refresh token revokes the family, its sockets too', async () => {
  const person = await world.register()
  const second = await refresh(person.refreshToken)
  const third = await refresh(second.refreshToken)
  const socket = await world.connect({ ...person, accessToken: third.accessToken })
  const bystander = await world.connect({ ...person, ...(await login(person.username)) })
  expect(await refusedRefresh(person.refreshToken)).toMatchObject({
    status: 401,
    code: 'unauthenticated',
  })
  expect(await refusedRefresh(third.refreshToken)).toMatchObject({ status: 401 })
  expect(await within('the family’s socket closes', 5_000, socket.closed)).toMatchObject({
    code: 4002,
  })
  await bystander.ping()
  await bystander.close()
})

test('[G11] [C9] logout closes the sockets of its session with 4002, and nothing of it holds afterwards', async () => {
  const person = await world.register()
  const socket = await world.connect(person)
  const other = await login(person.username)
  const stays = await world.connect({ ...person, ...other }, 'parley.v1.msgpack')
  await world.http.call('POST', '/v1/auth/logout', { token: person.accessToken, expect: 204 })
  expect((await within('the socket closes', 5_000, socket.closed)).code).toBe(4002)
  expect(await refusedRefresh(person.refreshToken)).toMatchObject({ status: 401 })
  await eventually(
    'the access token is refused',
    async () => {
      const answer = await world.http.raw('GET', '/v1/users/me', { token: person.accessToken })
      return answer.status === 401
    },
    { deadlineMs: 5_000 },
  )
  await expect(world.connect(person)).rejects.toThrow(/unauthenticated|token_expired|40\d\d/)
  await stays.ping()
  await stays.close()
})

test('[G11] one’s devices are listed, and one of them can be revoked', async () => {
  const person = await world.register()
  const other = await login(person.username)
  const socket = await world.connect({ ...person, ...other })
  const { sessions } = await world.http.call<{ sessions: { id: string }[] }>(
    'GET',
    '/v1/sessions',
    {
      token: person.accessToken,
    },
  )
  const ids = sessions.map((s) => s.id)
  expect(ids).toHaveLength(2)
  expect(ids).toContain(socket.welcome.session)
  const stranger = await world.register()
  const refused = await world.http.problem('DELETE', `/v1/sessions/${socket.welcome.session}`, {
    token: stranger.accessToken,
  })
  expect(refused).toMatchObject({ status: 404, code: 'not_found' })
  await socket.ping()
  await world.http.call('DELETE', `/v1/sessions/${socket.welcome.session}`, {
    token: person.accessToken,
    expect: 204,
  })
  expect((await within('the socket closes', 5_000, socket.closed)).code).toBe(4002)
  expect(await refusedRefresh(other.refreshToken)).toMatchObject({ status: 401 })
  await world.http.call('GET', '/v1/users/me', { token: person.accessToken })
})

test('the gateways and the specification are told', async () => {
  const { accessToken: token } = await world.register()
  const gateway = await world.http.call<{ urls: string[]; protocols: string[] }>(
    'GET',
    '/v1/gateway',
    { token },
  )
  expect(gateway.protocols).toEqual(['parley.v1.msgpack', 'parley.v1.json'])
  expect(gateway.urls).toEqual(stack.wsUrls)
  const { paths, openapi } = await world.http.call<{ paths: object; openapi: string }>(
    'GET',
    '/openapi.json',
  )
  expect(openapi).toMatch(/^3\./)
  expect(Object.keys(paths)).toEqual(
    expect.arrayContaining(['/v1/auth/register', '/v1/conversations/{id}/messages']),
  )
})

test('[H3] `/docs` and `/` are pages for everyone', async () => {
  for (const path of ['/docs', '/']) {
    const page = await world.http.raw('GET', path)
    expect([page.status, path]).toEqual([200, path])
    expect(page.headers.get('content-type')).toMatch(/^text\/html/)
    expect(page.text).toMatch(/<script[^>]+src=/)
  }
})
