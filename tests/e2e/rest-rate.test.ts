import { afterAll, beforeAll, expect, test } from 'vitest'
import { uuid7 } from './harness/ids.ts'
import { type Person, type World, worldOf } from './harness/people.ts'
import type { Stack } from './harness/stack.ts'
import { startStandalone } from './harness/standalone-server.ts'

/** At one a second a slow machine gets few tokens back while a test looks, and waiting for one is short. */
const burst = 30
let stack: Stack
let world: World

beforeAll(async () => {
  stack = await startStandalone({
    env: { PARLEY_USER_MESSAGES_PER_SECOND: '1', PARLEY_USER_MESSAGES_BURST: String(burst) },
  })
  world = worldOf(stack)
}, 90_000)
afterAll(() => stack?.dispose())

const message = (id = uuid7()) => ({ id, body: { text: 'hello' } })

function post(person: Person, conversation: string, body: object) {
  const token = person.accessToken
  return world.http.raw('POST', `/v1/conversations/${conversation}/messages`, { token, body })
}

/** Sends until one is refused. */
async function refusedSend(person: Person, conversation: string, body: () => object) {
  for (let i = 0; i < 200; i++) {
    const answers = await Promise.all([1, 2, 3, 4].map(() => post(person, conversation, body())))
    const refused = answers.find(({ status }) => status === 429)
    if (refused !== undefined) return { refused, document: JSON.parse(refused.text) }
  }
  throw new Error('800 sends passed at a rate of one a second')
}

test('[G8] [S8] sends over REST beyond the rate are 429 with the time to come again, and then pass', async () => {
  const [ann, ben] = [await world.register('ann'), await world.register('ben')]
  const conversation = await world.group(ann, [ben])
  const { refused, document } = await refusedSend(ann, conversation, message)
  expect(document).toMatchObject({ status: 429, code: 'rate_limited' })
  expect(document.retryAfterMs).toBeGreaterThan(0)
  expect(document.retryAfterMs).toBeLessThanOrEqual(1_000)
  expect(refused.headers.get('retry-after')).toBe('1')
  expect((await post(ben, conversation, message())).status, 'another user').toBe(200)
  await expect
    .poll(async () => (await post(ann, conversation, message())).status, { timeout: 15_000 })
    .toBe(200)
}, 60_000)

test('[G8] [S8] a retry of an accepted id counts too', async () => {
  const [ann, ben] = [await world.register('ann'), await world.register('ben')]
  const conversation = await world.group(ann, [ben])
  const once = message()
  expect((await post(ann, conversation, once)).status).toBe(200)
  const { document } = await refusedSend(ann, conversation, () => once)
  expect(document.code).toBe('rate_limited')
}, 60_000)

test('[G8] [S8] one rate for WebSocket and REST', async () => {
  const [ann, ben] = [await world.register('ann'), await world.register('ben')]
  const conversation = await world.group(ann, [ben])
  const socket = await world.connect(ann)
  await refusedSend(ann, conversation, message)
  // Fewer than a burst: with a rate of its own the socket would get them all through.
  socket.post(Array.from({ length: 15 }, () => ({ type: 'send', conversation, ...message() })))
  const { retryAfterMs } = await socket.wait('error', ({ code }) => code === 'rate_limited')
  expect(retryAfterMs).toBeGreaterThan(0)
  await socket.close()
}, 60_000)

test('[G8] [S8] changes of a conversation count too', async () => {
  const [ann, ben] = [await world.register('ann'), await world.register('ben')]
  const conversation = await world.group(ann, [ben])
  await refusedSend(ann, conversation, message)
  const token = ann.accessToken
  const change = (title: string) =>
    world.http.raw('PATCH', `/v1/conversations/${conversation}`, { token, body: { title } })
  const answers = await Promise.all(Array.from({ length: 15 }, (_, i) => change(`title ${i}`)))
  expect(answers.map(({ status }) => status)).toContain(429)
}, 60_000)
