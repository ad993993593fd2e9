import { newId } from '@parley/proto/ids'
import type { HTTPMethods } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestWorld, type Person, type TestWorld, testPassword } from './test-world.ts'

/** What strangers send, against every route: a documented problem each, never a 5xx, and nothing of ours in it. */

let world: TestWorld
let me: Person
beforeAll(async () => {
  world = await openTestWorld()
  me = await world.person('victim')
}, 60_000)
afterAll(() => world?.close())

const someId = newId()
const securedRoutes: [HTTPMethods, string][] = [
  ['POST', '/v1/auth/logout'],
  ['GET', '/v1/sessions'],
  ['DELETE', `/v1/sessions/${someId}`],
  ['GET', '/v1/users/me'],
  ['PATCH', '/v1/users/me'],
  ['GET', `/v1/users/${someId}`],
  ['GET', '/v1/users?query=a'],
  ['GET', '/v1/gateway'],
  ['POST', '/v1/conversations'],
  ['GET', '/v1/conversations'],
  ['GET', `/v1/conversations/${someId}`],
  ['PATCH', `/v1/conversations/${someId}`],
  ['POST', `/v1/conversations/${someId}/members`],
  ['DELETE', `/v1/conversations/${someId}/members/${someId}`],
  ['PATCH', `/v1/conversations/${someId}/members/${someId}`],
  ['POST', `/v1/conversations/${someId}/messages`],
  ['GET', `/v1/conversations/${someId}/events`],
  ['GET', `/v1/conversations/${someId}/messages`],
]
const bodyRoutes = [
  ...securedRoutes.filter(([method, url]) => method !== 'GET' && url !== '/v1/auth/logout'),
  ['POST', '/v1/auth/register'],
  ['POST', '/v1/auth/login'],
  ['POST', '/v1/auth/refresh'],
].filter(([method]) => method !== 'DELETE') as [HTTPMethods, string][]

function expectProblem(
  answer: Awaited<ReturnType<TestWorld['call']>>,
  status: number,
  code: string,
) {
  expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8')
  expect(answer.body).toEqual({
    type: `urn:parley:problem:${code}`,
    title: expect.any(String),
    status,
    detail: expect.any(String),
    code,
  })
  expect(answer.status).toBe(status)
  expect(answer.headers['x-content-type-options']).toBe('nosniff')
}

test('[H1] without a token, or with one that is none, every route is 401', async () => {
  const headersOf: Record<string, string>[] = [
    {},
    { authorization: '' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer ' },
    { authorization: 'Bearer nonsense' },
    { authorization: `Basic ${Buffer.from('victim:x').toString('base64')}` },
    { authorization: me.accessToken },
    { authorization: `Bearer ${me.accessToken} ${me.accessToken}` },
  ]
  for (const [method, url] of securedRoutes) {
    for (const headers of headersOf) {
      const answer = await world.call(undefined, { method, url, headers })
      expectProblem(answer, 401, 'unauthenticated')
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer/)
    }
  }
})

test('a token is asked for before the body is read', async () => {
  const headers = { 'content-type': 'application/json' }
  const payload = 'no json'
  const answer = await world.call(undefined, {
    method: 'POST',
    url: '/v1/conversations',
    headers,
    payload,
  })
  expectProblem(answer, 401, 'unauthenticated')
})

test('[H1] a body that is not a JSON object is 400 invalid on every route', async () => {
  const bodies = [
    '',
    'no json',
    '{"a":1',
    '{"a":1}}',
    "{'a':1}",
    '[]',
    '[1]',
    'null',
    '5',
    '"text"',
    '{"a":NaN}',
    '[{"username":"a"}]',
  ]
  for (const [method, url] of bodyRoutes) {
    for (const payload of bodies) {
      const headers = { 'content-type': 'application/json' }
      const answer = await world.call(me, { method, url, headers, payload })
      expectProblem(answer, 400, 'invalid')
    }
  }
})

test('a body that is not UTF-8 is 400 invalid', async () => {
  for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80]]) {
    const payload = Buffer.concat([
      Buffer.from('{"displayName":"a'),
      Buffer.from(bytes),
      Buffer.from('"}'),
    ])
    const headers = { 'content-type': 'application/json' }
    const answer = await world.call(me, { method: 'PATCH', url: '/v1/users/me', headers, payload })
    expectProblem(answer, 400, 'invalid')
  }
})

test('[H1] a body of another type is 400 unsupported', async () => {
  for (const type of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonp',
    'x',
  ]) {
    for (const [method, url] of bodyRoutes) {
      const headers = { 'content-type': type }
      expectProblem(
        await world.call(me, { method, url, headers, payload: '{}' }),
        400,
        'unsupported',
      )
    }
  }
  const headers = { 'content-type': 'Application/JSON; charset=utf-8' }
  const payload = '{"displayName":"Victim"}'
  const fine = await world.call(me, { method: 'PATCH', url: '/v1/users/me', headers, payload })
  expect(fine.status).toBe(200)
})

test('[H1] a body over 64 KiB is 413 too_large, one of 64 KiB is read', async () => {
  const bodyOf = (bytes: number) => {
    const body = JSON.stringify({ displayName: 'Victim', padding: '' })
    return body.replace('""', `"${'a'.repeat(bytes - body.length)}"`)
  }
  const headers = { 'content-type': 'application/json' }
  const patch = (payload: string) =>
    world.call(me, { method: 'PATCH', url: '/v1/users/me', headers, payload })
  expect((await patch(bodyOf(64 * 1024))).status).toBe(200)
  expectProblem(await patch(bodyOf(64 * 1024 + 1)), 413, 'too_large')
})

test('deep nesting, __proto__ and constructor keys are like any unknown field', async () => {
  const headers = { 'content-type': 'application/json' }
  const bodies = [
    `{"displayName":"Victim","x":${'['.repeat(30_000)}${']'.repeat(30_000)}}`,
    `{"displayName":"Victim","x":${'{"a":'.repeat(8_000)}1${'}'.repeat(8_000)}}`,
    '{"displayName":"Victim","__proto__":{"isAdmin":true}}',
    '{"displayName":"Victim","x":{"__proto__":{"isAdmin":true}}}',
    '{"displayName":"Victim","constructor":{"prototype":{"isAdmin":true}}}',
    '{"displayName":"Victim","toString":1,"hasOwnProperty":2}',
  ]
  for (const payload of bodies) {
    const answer = await world.call(me, { method: 'PATCH', url: '/v1/users/me', headers, payload })
    expect([answer.status, answer.body.displayName], payload.slice(0, 60)).toEqual([200, 'Victim'])
  }
  expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  const only = await world.call(undefined, {
    method: 'POST',
    url: '/v1/auth/login',
    headers,
    payload: `{"__proto__":{"username":"victim","password":${JSON.stringify(testPassword)}}}`,
  })
  expectProblem(only, 400, 'invalid')
})

test('[H1] [H4] a page that is no number from 1 to 500 in plain digits is 400 invalid', async () => {
  const pages = ['/v1/users?query=a&', '/v1/conversations?', `/v1/conversations/${someId}?`].concat(
    ['events', 'messages'].map((what) => `/v1/conversations/${someId}/${what}?`),
  )
  const wrong = ['0', '501', '1000000000', '1e2', '-1', '+1', '1.0', ' 1', '01', 'abc', '', '٣']
  for (const page of pages) {
    for (const limit of [...wrong, '1&limit=2', '99999999999999999999', '0x10', 'null']) {
      const answer = await world.call(me, { url: encodeURI(`${page}limit=${limit}`) })
      expectProblem(answer, 400, 'invalid')
      expect(answer.body.detail).toContain('limit')
    }
  }
  for (const place of ['-1', 'x', '9007199254740992', '1.5', '']) {
    const events = await world.call(me, {
      url: `/v1/conversations/${someId}/events?after=${place}`,
    })
    expectProblem(events, 400, 'invalid')
    const messages = await world.call(me, {
      url: `/v1/conversations/${someId}/messages?before=${place}`,
    })
    expectProblem(messages, 400, 'invalid')
  }
  const before = await world.call(me, { url: `/v1/conversations/${someId}/messages?before=0` })
  expectProblem(before, 400, 'invalid')
})

test('a cursor that is none of ours is 400 invalid', async () => {
  const cursors = ['x', '1', 'A'.repeat(300), '__proto__', Buffer.from('1.x').toString('base64url')]
  for (const cursor of cursors.concat(Buffer.from(`-1.${someId}`).toString('base64url'))) {
    expectProblem(
      await world.call(me, { url: `/v1/conversations?cursor=${cursor}` }),
      400,
      'invalid',
    )
    expectProblem(
      await world.call(me, { url: `/v1/conversations/${someId}?cursor=${cursor}` }),
      400,
      'invalid',
    )
  }
})

test('[H1] ids in paths are UUIDs in lower case, or 400 invalid', async () => {
  const ids = ['x', someId.toUpperCase(), `{${someId}}`, someId.replaceAll('-', ''), '%00', '..%2f']
  for (const id of ids) {
    for (const [method, pattern] of securedRoutes) {
      if (!pattern.includes(someId)) continue
      const url = pattern.replaceAll(someId, id)
      const payload = method === 'GET' || method === 'DELETE' ? {} : { payload: { role: 'admin' } }
      const answer = await world.call(me, { method, url, ...payload })
      expect([answer.status, answer.body.code], `${method} ${url}`).toEqual([400, 'invalid'])
    }
  }
})

test('[H1] what is not there is 404 not_found, with any method, and bad URLs are 400', async () => {
  expectProblem(await world.call(undefined, { url: '/v1/nothing' }), 404, 'not_found')
  expectProblem(await world.call(me, { method: 'PUT', url: '/v1/conversations' }), 404, 'not_found')
  expectProblem(await world.call(me, { method: 'OPTIONS', url: '/v1/users/me' }), 404, 'not_found')
  const bad = await world.call(undefined, { url: '/v1/users/%zz' })
  expect([bad.status, bad.body.code]).toEqual([400, 'invalid'])
  const long = await world.call(me, { url: `/v1/users/${'a'.repeat(10_000)}` })
  expect([400, 404]).toContain(long.status)
})

test('refusals are counted by code, and no request was answered by a failure of ours', async () => {
  const { text } = await world.metrics.exposition()
  for (const code of ['unauthenticated', 'invalid', 'unsupported', 'too_large', 'not_found']) {
    expect(text).toMatch(new RegExp(`parley_http_refusals_total\\{code="${code}"\\} [1-9]`))
  }
  expect(text).not.toContain('code="internal"')
  expect(world.errors).toEqual([])
})
