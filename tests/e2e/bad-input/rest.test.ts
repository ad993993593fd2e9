import { describe, expect, test } from 'vitest'
import { uuid4, uuid7 } from '../harness/ids.ts'
import { setUpNeighbourhood } from './neighbourhood.ts'

const place = setUpNeighbourhood()

describe('REST', () => {
  const token = () => place().mallory.accessToken
  test('a username that is taken is a conflict', async () => {
    const body = { username: place().mallory.username, password: place().mallory.password }
    expect(await place().world.http.problem('POST', '/v1/auth/register', { body })).toMatchObject({
      status: 409,
      code: 'conflict',
    })
  })
  const good = { username: 'someone-new', password: 'long enough' }
  test.each<[string, unknown]>([
    ['a password of 7', { ...good, password: '1234567' }],
    ['a password of 257', { ...good, password: 'x'.repeat(257) }],
    ['no password', { username: 'someone-new' }],
    ['no username', { password: 'long enough' }],
    ['a username of 2', { ...good, username: 'ab' }],
    ['a username of 33', { ...good, username: 'a'.repeat(33) }],
    ['a username in upper case', { ...good, username: 'Someone' }],
    ['a username with a space', { ...good, username: 'some one' }],
    ['a number for a password', { ...good, password: 1234567890 }],
    ['a display name of 129', { ...good, displayName: 'x'.repeat(129) }],
    ['an empty display name', { ...good, displayName: '' }],
    ['an array', []],
    ['null', null],
  ])('register with %s is invalid', async (_name, body) => {
    const answer = await place().world.http.problem('POST', '/v1/auth/register', { body })
    expect(answer).toMatchObject({ status: 400, code: 'invalid' })
  })
  test.each([
    'limit=1000000000',
    'limit=501',
    'limit=0',
    'limit=-1',
    'limit=abc',
    'limit=1.5',
    'limit=1e2',
    'after=-1',
    'after=abc',
    'after=99999999999999999999',
  ])('a page of %s is invalid', async (query) => {
    const path = `/v1/conversations/${place().ownPlace}/events?${query}`
    expect(await place().world.http.problem('GET', path, { token: token() })).toMatchObject({
      status: 400,
      code: 'invalid',
    })
  })
  test.each<[string, Record<string, unknown>]>([
    ['no kind', { members: [] }],
    ['an unknown kind', { kind: 'party', members: [] }],
    ['members that are no UUIDs', { kind: 'group', members: ['ann'] }],
    ['members as a string', { kind: 'group', members: 'ann' }],
    ['a title of 129', { kind: 'group', members: [], title: 'x'.repeat(129) }],
    ['a title that is a number', { kind: 'group', members: [], title: 5 }],
    ['an id that is no UUID', { kind: 'group', members: [], id: 'general' }],
    ['an unknown history', { kind: 'group', members: [], history: 'none' }],
    ['a direct one with nobody', { kind: 'direct', members: [] }],
    ['501 members', { kind: 'group', members: Array.from({ length: 501 }, () => uuid7()) }],
  ])('a conversation with %s is invalid', async (_name, body) => {
    const answer = await place().world.http.problem('POST', '/v1/conversations', {
      token: token(),
      body,
    })
    expect(answer).toMatchObject({ status: 400, code: 'invalid' })
  })
  test.each<[string, Record<string, unknown>]>([
    ['no id', { body: { text: 'x' } }],
    ['an id of version 4', { id: uuid4(), body: { text: 'x' } }],
    ['an id in the future', { id: uuid7(Date.now() + 360_000), body: { text: 'x' } }],
    ['no body', { id: uuid7() }],
    ['an empty body', { id: uuid7(), body: {} }],
    ['text that is a number', { id: uuid7(), body: { text: 5 } }],
    ['text of 8,001', { id: uuid7(), body: { text: 'x'.repeat(8_001) } }],
  ])('a message with %s is refused', async (_name, body) => {
    const path = `/v1/conversations/${place().ownPlace}/messages`
    const answer = await place().world.http.problem('POST', path, { token: token(), body })
    expect([400, 413]).toContain(answer.status)
    expect(['invalid', 'too_large']).toContain(answer.code)
  })
  test('a body that is no JSON, one too large, and a path that is none', async () => {
    const path = '/v1/auth/login'
    const broken = await place().world.http.problem('POST', path, { text: '{"username":' })
    expect(broken.status).toBe(400)
    expect(['invalid', 'bad_frame']).toContain(broken.code)
    const large = await place().world.http.problem('POST', path, {
      text: `"${'x'.repeat(1_100_000)}"`,
    })
    expect(large).toMatchObject({ status: 413, code: 'too_large' })
    const nowhere = await place().world.http.problem('GET', '/v1/nowhere', { token: token() })
    expect(nowhere).toMatchObject({ status: 404, code: 'not_found' })
    const noId = await place().world.http.problem('GET', '/v1/conversations/general', {
      token: token(),
    })
    expect([400, 404]).toContain(noId.status)
    const polluted = await place().world.http.raw('POST', path, {
      text: '{"__proto__":{"admin":true},"username":"a","password":"b"}',
    })
    expect([400, 401]).toContain(polluted.status)
  })
})
