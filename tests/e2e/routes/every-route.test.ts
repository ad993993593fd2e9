import { beforeAll, describe, expect, test } from 'vitest'
import type { Method } from '../harness/http-client.ts'
import { uuid7 } from '../harness/ids.ts'
import { type Answer, expectProblem, setUpRoutes } from './calls.ts'

/** What holds for each call of the table, whatever it does. */

const routes = setUpRoutes({ PARLEY_ACCESS_TOKEN_SECONDS: '3600' })

/** `:id` is a conversation of ann's, `:userId` is ben. */
const withToken: [Method, string, unknown?][] = [
  ['POST', '/v1/auth/logout'],
  ['GET', '/v1/sessions'],
  ['DELETE', '/v1/sessions/:id'],
  ['GET', '/v1/users/me'],
  ['PATCH', '/v1/users/me', { displayName: 'x' }],
  ['PUT', '/v1/users/me/password', { currentPassword: 'x', password: 'long enough' }],
  ['GET', '/v1/users/:userId'],
  ['GET', '/v1/users?query=x'],
  ['GET', '/v1/gateway'],
  ['POST', '/v1/conversations', { kind: 'group', members: [] }],
  ['GET', '/v1/conversations'],
  ['GET', '/v1/conversations/:id'],
  ['PATCH', '/v1/conversations/:id', { title: 'x' }],
  ['POST', '/v1/conversations/:id/members', { members: [] }],
  ['DELETE', '/v1/conversations/:id/members/:userId'],
  ['PATCH', '/v1/conversations/:id/members/:userId', { role: 'admin' }],
  ['POST', '/v1/conversations/:id/messages', { id: uuid7(), body: { text: 'x' } }],
  ['GET', '/v1/conversations/:id/events'],
  ['GET', '/v1/conversations/:id/messages'],
  ['PUT', '/v1/conversations/:id/read', { seq: 1 }],
]
const open: [Method, string, unknown?][] = [
  ['POST', '/v1/auth/register', {}],
  ['POST', '/v1/auth/login', {}],
  ['POST', '/v1/auth/refresh', {}],
  ['GET', '/.well-known/jwks.json'],
  ['GET', '/openapi.json'],
  ['GET', '/docs'],
]
let conversation: string
const pathOf = (path: string) =>
  path.replace(':id', conversation).replace(':userId', routes().ben.id)
const named = (rows: typeof withToken) =>
  rows.map(([method, path, body]) => ({ method, path, body, name: `${method} ${path}` }))
const withBody = [...withToken, ...open].filter(([, , body]) => body !== undefined)

beforeAll(async () => {
  const { world, ann, ben } = routes()
  conversation = await world.group(ann, [ben])
})

describe.each(named(withToken))('[H1] $name', ({ method, path, body }) => {
  test('without a token, or with one that holds not, is unauthenticated', async () => {
    const { ask, ann, world } = routes()
    const nobody = await ask(undefined, method, pathOf(path), body)
    expectProblem(nobody, 'unauthenticated')
    expect(nobody.headers.get('www-authenticate')).toMatch(/^Bearer/)
    for (const accessToken of [
      'x',
      'a.b.c',
      `${ann.accessToken.slice(0, -6)}AAAAAA`,
      ann.refreshToken,
    ]) {
      expectProblem(
        await ask({ ...ann, accessToken }, method, pathOf(path), body),
        'unauthenticated',
      )
    }
    const other = await fetch(`${routes().stack.httpUrl}${pathOf(path)}`, {
      method,
      headers: { authorization: `Basic ${ann.accessToken}` },
    })
    expect(other.status).toBe(401)
    await world.http.call('GET', '/v1/users/me', { token: ann.accessToken })
  })
})

test.each(named(open))('[H1] $name needs no token', async ({ method, path, body }) => {
  const answer = await routes().ask(undefined, method, path, body)
  if (method === 'GET') expect(answer.status).toBe(200)
  else expectProblem(answer, 'invalid')
})

describe.each(named(withBody))('[H1][H2] a body to $name', ({ method, path }) => {
  const send = (body: string) => routes().ask(routes().ann, method, pathOf(path), body)
  test.each([
    ['cut short', '{"a":'],
    ['two values', '{} {}'],
    ['no JSON', 'text'],
    ['an array', '[]'],
    ['a number', '5'],
    ['a string', '"x"'],
    ['null', 'null'],
    ['no UTF-8', '\ud800'],
  ])('%s is invalid', async (name, text) => {
    // fetch makes U+FFFD of half a character: a string then, and as wrong.
    expectProblem(await send(name === 'no UTF-8' ? `"${text}"` : text), 'invalid')
  })
  test('over 64 KiB is too_large', async () => {
    expectProblem(await send(`{"pad":"${'x'.repeat(65_536)}"}`), 'too_large')
  })
  test('of another type is refused', async () => {
    const { stack, ann } = routes()
    const response = await fetch(`${stack.httpUrl}${pathOf(path)}`, {
      method,
      headers: { authorization: `Bearer ${ann.accessToken}`, 'content-type': 'text/plain' },
      body: '{}',
    })
    const text = await response.text()
    const answer: Answer = {
      status: response.status,
      headers: response.headers,
      text,
      body: JSON.parse(text),
    }
    expectProblem(answer, 'unsupported')
  })
})

describe('[H2] paths and methods that are none', () => {
  test.each<[Method, string]>([
    ['GET', '/v1'],
    ['GET', '/v1/nowhere'],
    ['GET', '/v2/users/me'],
    ['DELETE', '/v1/users/me'],
    ['PUT', '/v1/conversations'],
    ['POST', '/v1/conversations/:id/read'],
    ['GET', '/v1/conversations/:id/members'],
  ])('%s %s', async (method, path) => {
    const { ask, ann } = routes()
    const body = method === 'GET' || method === 'DELETE' ? undefined : {}
    expectProblem(await ask(ann, method, pathOf(path), body), 'not_found')
  })
  test('a path that is no URL, and ids that are none', async () => {
    const { ask, ann } = routes()
    expectProblem(await ask(ann, 'GET', '/v1/users/%zz'), 'invalid')
    for (const id of [
      'general',
      conversation.toUpperCase(),
      '%00',
      `${conversation}0`,
      '..%2f..',
    ]) {
      expectProblem(await ask(ann, 'GET', `/v1/conversations/${id}`), 'invalid')
    }
  })
})

test('[H3] the specification names exactly these calls, each with its answers', async () => {
  const { body: document } = await routes().ask(undefined, 'GET', '/openapi.json')
  expect(document.openapi).toMatch(/^3\.1\./)
  const calls = Object.entries(document.paths as Record<string, object>).flatMap(
    ([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const wanted = [...withToken, ...open]
    .map(([method, path]) => `${method} ${path.replace(/\?.*/, '').replace(/:(\w+)/g, '{$1}')}`)
    .filter((call) => call !== 'GET /docs' && call !== 'GET /openapi.json')
    .map((call) => call.replace('/v1/users/{userId}', '/v1/users/{id}'))
  expect(calls.filter((call) => !/openapi|docs/.test(call)).toSorted()).toEqual(wanted.sort())
  for (const methods of Object.values(
    document.paths as Record<string, Record<string, { responses: object }>>,
  )) {
    for (const { responses } of Object.values(methods)) {
      const statuses = Object.keys(responses)
      expect(
        statuses.some((s) => /^2\d\d$/.test(s)),
        JSON.stringify(statuses),
      ).toBe(true)
    }
  }
})

test('[W2] /healthz, /readyz and /metrics answer on loopback', async () => {
  const { ask } = routes()
  for (const path of ['/healthz', '/readyz', '/metrics']) {
    expect((await ask(undefined, 'GET', path)).status, path).toBe(200)
  }
})
