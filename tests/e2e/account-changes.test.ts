import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectDone, expectRefused, runCommand } from './harness/command.ts'
import { within } from './harness/deadline.ts'
import { subprotocols } from './harness/frames.ts'
import { password, type SignedIn, type World, worldOf } from './harness/people.ts'
import { type StandaloneServer, startStandalone } from './harness/standalone-server.ts'

/** What ends sessions from outside of them, on the running standalone: a new password, and its operator. */

let server: StandaloneServer
let world: World
beforeAll(async () => {
  server = await startStandalone({ env: { PARLEY_REGISTRATION: 'open' } })
  world = worldOf(server)
}, 90_000)
afterAll(() => server?.dispose())

const login = (username: string, word = password): Promise<SignedIn> =>
  world.http.call('POST', '/v1/auth/login', { body: { username, password: word } })
const refused = (refreshToken: string) =>
  world.http.problem('POST', '/v1/auth/refresh', { body: { refreshToken } })
const admin = (...words: string[]) => runCommand('admin', words, { dataDir: server.dataDir })

test('[G11] [C9] a new password closes the other sessions’ sockets with 4002 within 5 s; the caller’s stays', async () => {
  const person = await world.register()
  const others = [await login(person.username), await login(person.username)]
  const mine = await world.connect(person)
  const theirs = await Promise.all(
    others.map((tokens, i) => world.connect({ ...person, ...tokens }, subprotocols[i])),
  )
  const stranger = await world.connect(await world.register())
  const body = { currentPassword: password, password: 'a new one, and longer' }
  const put = { token: person.accessToken, body }
  await world.http.call('PUT', '/v1/users/me/password', { ...put, expect: 204 })
  for (const socket of theirs) {
    expect(await within('the other socket closes', 5_000, socket.closed)).toMatchObject({
      code: 4002,
    })
  }
  for (const tokens of others) expect((await refused(tokens.refreshToken)).status).toBe(401)
  await mine.ping()
  await stranger.ping()
  await world.http.call('GET', '/v1/users/me', { token: person.accessToken })
  expect((await world.http.problem('PUT', '/v1/users/me/password', put)).code).toBe('forbidden')
  expect((await login(person.username, body.password)).user.id).toBe(person.id)
  await Promise.all([mine.close(), stranger.close()])
})

test('[G11] [C9] an operator ends a user’s sessions; the sockets close with 4002 within 5 s', async () => {
  const person = await world.register()
  const socket = await world.connect(person, 'parley.v1.msgpack')
  const bystander = await world.connect(await world.register())
  const finished = await admin('sessions', 'end', person.username)
  expectDone(finished)
  expect(finished.stdout).toContain(`1 sessions of ${person.username}`)
  expect((await within('the socket closes', 5_000, socket.closed)).code).toBe(4002)
  expect((await refused(person.refreshToken)).status).toBe(401)
  await bystander.ping()
  await bystander.close()
  expectRefused(await admin('sessions', 'end', 'nobody-here'), /no user nobody-here/)
})

test('an operator lists the users', async () => {
  const person = await world.register()
  const finished = await admin('user', 'list')
  expectDone(finished)
  const line = finished.stdout.split('\n').find((text) => text.startsWith(`${person.username}\t`))
  expect(line?.split('\t').slice(1)).toEqual([
    person.id,
    expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
    '1 sessions',
    person.username,
  ])
})

test('[H15] by invitation: a code made while Parley runs, one made while it does not, each lets in as many as it says', async () => {
  const inviting = await startStandalone({ env: { PARLEY_REGISTRATION: 'invite' } })
  try {
    const { http } = worldOf(inviting)
    const options = { dataDir: inviting.dataDir }
    const invite = async (...words: string[]) => {
      const finished = await runCommand('admin', ['invite', ...words], options)
      expectDone(finished)
      return finished.stdout.split('\n')[0] as string
    }
    let names = 0
    const register = (code?: string) =>
      http.raw('POST', '/v1/auth/register', {
        body: { username: `guest-${++names}`, password, ...(code ? { invite: code } : {}) },
      })
    const code = await invite('--uses', '2')
    expect((await register()).status).toBe(403)
    expect((await register('0000-0000-0000-0000-0000')).status).toBe(403)
    const answers = await Promise.all([register(code), register(code), register(code)])
    expect(answers.map((a) => a.status).toSorted()).toEqual([201, 201, 403])
    expect(await inviting.stop()).toBe(0)
    const later = await invite('--days', '1')
    await inviting.restart()
    expect((await register(later)).status).toBe(201)
    expect((await register(later)).status).toBe(403)
  } finally {
    await inviting.dispose()
  }
})

test('words that are no command, and a folder that is none, are told in one sentence', async () => {
  for (const words of [
    [],
    ['invitation'],
    ['invite', '--uses', '0'],
    ['invite', '--days', 'many'],
    ['invite', 'ann'],
    ['invite', '--colour', 'red'],
    ['sessions', 'end'],
    ['user', 'list', '--uses', '5'],
  ]) {
    const finished = await admin(...words)
    expectRefused(finished, /^parley admin: /)
    expect(finished.stdout).toBe('')
  }
  const elsewhere = { dataDir: `${server.dataDir}-that-is-not-there` }
  expectRefused(await runCommand('admin', ['user', 'list'], elsewhere), /no Parley data/)
})
