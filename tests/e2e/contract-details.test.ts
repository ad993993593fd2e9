import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually, within } from './harness/deadline.ts'
import { subprotocols } from './harness/frames.ts'
import { uuid7 } from './harness/ids.ts'
import { type Person, type World, worldOf } from './harness/people.ts'
import { killTree } from './harness/process-tree.ts'
import { openSocket } from './harness/socket-client.ts'
import type { Stack } from './harness/stack.ts'
import { startStandalone, temporaryFolder } from './harness/standalone-server.ts'

/** Rules that belong to no one frame or route. */

let stack: Stack
let world: World
let ann: Person
let ben: Person
let conversation: string
beforeAll(async () => {
  stack = await startStandalone()
  world = worldOf(stack)
  ;[ann, ben] = (await world.registerMany(2)) as [Person, Person]
  conversation = await world.group(ann, [ben])
}, 90_000)
afterAll(() => stack?.dispose())

test('[W3] a start prints one line, with `ready` and both URLs', async () => {
  const folder = await temporaryFolder('ready')
  const main = fileURLToPath(new URL('../../deploy/standalone/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main], {
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      PARLEY_DATA_DIR: join(folder, 'data'),
      PARLEY_HTTP_PORT: '0',
      PARLEY_WS_PORT: '0',
    },
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const exited = once(child, 'close')
  try {
    await eventually('a line', () => output.includes('\n'), { deadlineMs: 60_000 })
    expect(output).toMatch(
      /^[^\n]*\bready\b[^\n]*http:\/\/127\.0\.0\.1:\d+\b[^\n]*ws:\/\/127\.0\.0\.1:\d+\/ws\b[^\n]*\n$/,
    )
    child.kill('SIGTERM')
    expect((await within('it ends', 30_000, exited))[0]).toBe(0)
    expect(output.trim().split('\n')).toHaveLength(1)
  } finally {
    if (child.pid !== undefined) await killTree(child.pid)
    await rm(folder, { recursive: true, force: true })
  }
}, 120_000)

test('[N5] every time is a whole number of milliseconds since 1970', async () => {
  const near = (time: unknown, what: string) => {
    expect(Number.isInteger(time), what).toBe(true)
    expect(Math.abs((time as number) - Date.now()), what).toBeLessThan(60_000)
  }
  const token = ann.accessToken
  const get = <T>(path: string) => world.http.call<T>('GET', `/v1/${path}`, { token })
  for (const protocol of subprotocols) {
    const socket = await world.connect(ann, protocol)
    near(socket.welcome.time, 'welcome')
    near(await socket.ping(), 'pong')
    const id = uuid7()
    const ack = await socket.say(conversation, 'one', { id })
    near(ack.at, 'ack')
    const event = await socket.wait('event', (e) => e.id === id)
    expect(event.at).toBe(ack.at)
    const edit = uuid7()
    socket.post({ type: 'edit', id: edit, conversation, target: id, body: { text: 'two' } })
    const edited = await socket.wait('ack', (f) => f.id === edit)
    const friend = await world.connect(ben, protocol)
    await friend.close()
    socket.post({ type: 'watch', users: [ben.id] })
    const presence = await socket.wait(
      'presence',
      (f) => f.users.some((user) => user.state === 'offline' && user.lastSeen !== undefined),
      { deadlineMs: 20_000 },
    )
    near(presence.users[0]?.lastSeen, 'lastSeen')
    await socket.close()
    const { messages } = await eventually('the edit is shown', async () => {
      const page = await get<{ messages: { id: string; at: number; editedAt?: number }[] }>(
        `conversations/${conversation}/messages?limit=1`,
      )
      return page.messages[0]?.editedAt !== undefined && page
    })
    expect(messages[0]).toMatchObject({ id, at: ack.at, editedAt: edited.at })
  }
  const body = { id: uuid7(), body: { text: 'over REST' } }
  const path = `/v1/conversations/${conversation}/messages`
  near((await world.http.call<{ at: number }>('POST', path, { token, body })).at, 'POST')
  const { sessions } = await get<{ sessions: Record<string, number>[] }>('sessions')
  for (const { createdAt, usedAt, expiresAt } of sessions) {
    near(createdAt, 'createdAt')
    near(usedAt, 'usedAt')
    expect(Number.isInteger(expiresAt)).toBe(true)
    expect(expiresAt).toBeGreaterThan(Date.now())
  }
})

/** No message may hold it; it stands in every place of a frame or request that is wrong. */
const canary = 'canary of what was sent'

test.each(subprotocols)('[E2] %s: an error repeats nothing of what was sent', async (protocol) => {
  const id = uuid7()
  const send = { type: 'send', id, conversation, body: { text: 'x' } }
  const wrong: Record<string, unknown>[] = [
    { ...send, body: canary },
    { ...send, body: { text: { [canary]: canary } } },
    { ...send, body: { text: '', [canary]: canary } },
    { ...send, body: { text: `${canary}${'x'.repeat(8_000)}` } },
    { ...send, body: { text: 'x', replyTo: canary } },
    { ...send, body: { text: 'x', mentions: [canary] } },
    { ...send, retry: canary },
    { type: 'react', id, conversation, target: id, emoji: `${canary} ${canary}` },
    { type: 'sync', ref: 'r', conversation, after: canary },
    { type: 'read', conversation, seq: canary },
    { type: 'ping', ref: canary.repeat(4) },
    { type: 'hello', token: canary, device: canary },
  ]
  if (protocol === 'parley.v1.json') {
    wrong.push(
      { type: 'watch', users: [canary] },
      { type: canary },
      { ...send, conversation: canary },
      { ...send, id: canary },
    )
  }
  const socket = await world.connect(ann, protocol)
  for (const [i, frame] of wrong.entries()) {
    const from = socket.journal.length
    socket.post(frame as { type: string })
    const error = await socket.wait('error', () => true, { from })
    expect(error.message, `${i}`).not.toBe('')
    expect(error.message, `${i}`).not.toMatch(/canary/)
  }
  socket.post({ type: 'auth', token: canary })
  expect((await socket.wait('error', (e) => e.code === 'unauthenticated')).message).not.toMatch(
    /canary/,
  )
  const noHello = await openSocket(stack.wsUrls[0] as string, { protocol })
  noHello.post({ type: 'hello', token: canary, device: 'd' })
  expect((await noHello.wait('error')).message).not.toMatch(/canary/)
})

test('[E2] a problem repeats nothing of what was sent', async () => {
  const token = ann.accessToken
  const at = `/v1/conversations/${conversation}`
  const path = encodeURIComponent(canary)
  const wrong: Parameters<World['http']['problem']>[] = [
    ['POST', '/v1/auth/register', { body: { username: canary, password: canary } }],
    ['POST', '/v1/auth/register', { body: { username: ann.username, password: canary } }],
    ['POST', '/v1/auth/login', { body: { username: canary, password: canary } }],
    ['POST', '/v1/auth/refresh', { body: { refreshToken: canary } }],
    ['GET', '/v1/users/me', { token: canary.replaceAll(' ', '-') }],
    ['PATCH', '/v1/users/me', { token, body: { displayName: { [canary]: canary } } }],
    ['PATCH', '/v1/users/me', { token, text: `{"displayName": "${canary}" ${canary}` }],
    [
      'PUT',
      '/v1/users/me/password',
      { token, body: { currentPassword: canary, password: canary } },
    ],
    ['GET', `/v1/users/${path}`, { token }],
    ['GET', `/v1/conversations?limit=${path}`, { token }],
    ['GET', `/v1/conversations?cursor=${path}`, { token }],
    ['GET', `/v1/${path}`, { token }],
    ['POST', '/v1/conversations', { token, body: { kind: canary, members: [] } }],
    ['POST', '/v1/conversations', { token, body: { kind: 'group', members: [canary] } }],
    ['POST', '/v1/conversations', { token, body: { kind: 'group', members: [], history: canary } }],
    ['PATCH', at, { token, body: { title: `${canary}\n` } }],
    ['PATCH', `${at}/members/${ben.id}`, { token, body: { role: canary } }],
    ['POST', `${at}/messages`, { token, body: { id: canary, body: { text: 'x' } } }],
    ['POST', `${at}/messages`, { token, body: { id: uuid7(), body: { replyTo: canary } } }],
    ['PUT', `${at}/read`, { token, body: { seq: canary } }],
  ]
  for (const [method, url, options] of wrong) {
    const { document } = await world.http.problem(method, url, options)
    expect(document.detail, `${method} ${url}`).not.toBe('')
    expect(JSON.stringify(document), `${method} ${url}`).not.toMatch(/canary/)
  }
})
