import { newId } from '@parley/proto/ids'
import type { InjectOptions } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestWorld, storeConversation, type TestWorld } from './test-world.ts'

let world: TestWorld
beforeAll(async () => {
  world = await openTestWorld({}, undefined, { perSecond: 0.01, burst: 1 })
}, 60_000)
afterAll(() => world?.close())

const conversation = newId()
const base = `/v1/conversations/${conversation}`
const writes: [string, (other: string) => InjectOptions][] = [
  [
    'POST /v1/conversations',
    (other) => ({
      method: 'POST',
      url: '/v1/conversations',
      payload: { id: newId(), kind: 'group', members: [other], title: 'Engines' },
    }),
  ],
  ['PATCH title', () => ({ method: 'PATCH', url: base, payload: { title: 'Engines' } })],
  [
    'POST members',
    (other) => ({ method: 'POST', url: `${base}/members`, payload: { members: [other] } }),
  ],
  ['DELETE member', (other) => ({ method: 'DELETE', url: `${base}/members/${other}` })],
  [
    'PATCH role',
    (other) => ({ method: 'PATCH', url: `${base}/members/${other}`, payload: { role: 'admin' } }),
  ],
  [
    'POST messages',
    () => ({
      method: 'POST',
      url: `${base}/messages`,
      payload: { id: newId(), body: { text: 'hello' } },
    }),
  ],
]

test.each(writes)('[G8] beyond its user’s rate %s is 429 and writes nothing', async (_, write) => {
  const [ann, ben] = [await world.person(), await world.person()]
  world.writer.answer = () => ({ code: 'forbidden', message: 'this is not yours to do' })
  const first = await world.call(ann, write(ben.id))
  expect(first.body.code, 'the burst passes').toBe('forbidden')
  const written = world.writer.drafts.length
  const refused = await world.call(ann, write(ben.id))
  expect(refused).toMatchObject({ status: 429, body: { code: 'rate_limited', status: 429 } })
  const { retryAfterMs } = refused.body
  expect(retryAfterMs).toBeGreaterThan(90_000)
  expect(retryAfterMs).toBeLessThanOrEqual(100_000)
  expect(refused.headers['retry-after']).toBe(String(Math.ceil(retryAfterMs / 1_000)))
  expect(world.writer.drafts).toHaveLength(written)
  expect((await world.call(ben, write(ann.id))).body.code, 'another user').toBe('forbidden')
})

test('[S8] reads do not count', async () => {
  const ann = await world.person()
  const id = newId()
  await storeConversation(world.database, { id, head: 1, members: [{ user: ann.id }] })
  for (let i = 0; i < 3; i++) {
    expect((await world.call(ann, { url: `/v1/conversations/${id}` })).status).toBe(200)
  }
  world.writer.answer = () => ({ seq: 2, at: 2_000 })
  const payload = { id: newId(), body: { text: 'hello' } }
  const sent = await world.call(ann, {
    ...{ method: 'POST', url: `/v1/conversations/${id}/messages`, payload },
  })
  expect(sent.status).toBe(200)
})
