import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, within } from './harness/deadline.ts'
import { subprotocols } from './harness/frames.ts'
import { type SignedIn, type World, worldOf } from './harness/people.ts'
import { openSocket } from './harness/socket-client.ts'
import type { Stack } from './harness/stack.ts'
import { startStandalone } from './harness/standalone-server.ts'

/** [G11] What an access token allowed ends with it. Here tokens live for 3 s. */

const lifeMs = 3_000
/** The guarantee's bound, and a little for a busy machine. */
const withinMs = lifeMs + 5_000 + 2_000

let stack: Stack
let world: World
beforeAll(async () => {
  stack = await startStandalone({ env: { PARLEY_ACCESS_TOKEN_SECONDS: `${lifeMs / 1_000}` } })
  world = worldOf(stack)
}, 90_000)
afterAll(() => stack?.dispose())

test('[T4] [G11] an expired token is token_expired over REST and in hello, which closes 4002', async () => {
  const person = await world.register()
  expect(person.expiresIn).toBe(lifeMs / 1_000)
  const refused = await eventually(
    'the token has expired',
    async () => {
      const answer = await world.http.raw('GET', '/v1/users/me', { token: person.accessToken })
      return answer.status === 401 && JSON.parse(answer.text)
    },
    { deadlineMs: withinMs },
  )
  expect(refused.code).toBe('token_expired')
  for (const protocol of subprotocols) {
    const socket = await openSocket(stack.wsUrls[0] as string, { protocol })
    await expect(socket.hello(person.accessToken)).rejects.toThrow(/token_expired/)
    expect((await within('it closes', 5_000, socket.closed)).code).toBe(4002)
  }
})

test('[G11] [C9] an open socket closes 4002 when its token expires, unless `auth` brought a fresh one', async () => {
  const person = await world.register()
  const forgetful = await world.connect(person)
  const renewed = await world.connect(person, 'parley.v1.msgpack')
  let { refreshToken } = person
  let ended = false
  void forgetful.closed.then(() => {
    ended = true
  })
  let round = 0
  const renew = async () => {
    const body = { refreshToken }
    const fresh = await world.http.call<SignedIn>('POST', '/v1/auth/refresh', { body })
    refreshToken = fresh.refreshToken
    const ref = `round ${++round}`
    renewed.post({ type: 'auth', token: fresh.accessToken, ref })
    await renewed.wait('ok', (f) => f.ref === ref)
    return ended
  }
  const pace = { deadlineMs: withinMs, everyMs: 500 }
  await eventually('the socket that is not renewed closes', renew, pace)
  expect((await forgetful.closed).code).toBe(4002)
  expect(forgetful.journal.at(-1)).toMatchObject({ type: 'error', code: 'token_expired' })
  expect(renewed.isOpen).toBe(true)
  await renewed.ping()
  await renewed.close()
})
