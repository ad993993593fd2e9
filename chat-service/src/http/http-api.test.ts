import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseUnavailable } from '@parley/platform/ports/database'
import { connectDatabase } from '@parley/platform/postgres/connect'
import { startEmbeddedPostgres } from '@parley/platform/postgres/embedded'
import { createHealth } from '@parley/platform/process/health'
import { createLogger } from '@parley/platform/process/logs'
import { createMetrics } from '@parley/platform/process/metrics'
import { newId } from '@parley/proto/ids'
import type { FastifyInstance } from 'fastify'
import { Compile } from 'typebox/schema'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { accountEntities } from '../accounts/entities.ts'
import { mountPrivateRoutes } from './private-routes.ts'
import { openTestWorld, type Person, schema001, type TestWorld } from './test-world.ts'

let world: TestWorld
let me: Person
const health = createHealth()
beforeAll(async () => {
  world = await openTestWorld()
  mountPrivateRoutes(world.app, { health, metrics: createMetrics(), loopbackOnly: true })
  world.app.get('/broken', { schema: { hide: true } }, () => {
    throw new Error('a secret of the inside')
  })
  await world.app.listen({ host: '127.0.0.1', port: 0 })
  me = await world.person()
}, 60_000)
afterAll(() => world?.close())

/** For another process on the same database. */
const sameTables = () => ({ db: world.database, close: async () => {} })

test('where gateways are, and what they speak', async () => {
  const { status, body } = await world.call(me, { url: '/v1/gateway' })
  expect([status, body]).toEqual([
    200,
    { urls: ['ws://127.0.0.1:8081/ws'], protocols: ['parley.v1.msgpack', 'parley.v1.json'] },
  ])
})

test('every answer tells browsers to keep it out of frames, caches and guesses', async () => {
  for (const url of ['/v1/gateway', '/v1/nothing', '/openapi.json', '/broken']) {
    const { headers } = await world.call(me, { url })
    expect(headers, url).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    })
    expect(headers['content-security-policy']).toContain("default-src 'none'")
  }
})

test('an error of ours is 500 internal, logged, and nothing of it gets out', async () => {
  const { status, body, headers } = await world.call(undefined, { url: '/broken' })
  expect([status, body.code]).toEqual([500, 'internal'])
  expect(headers['content-type']).toContain('application/problem+json')
  expect(JSON.stringify(body)).not.toContain('secret')
  expect(world.errors).toContainEqual({
    err: expect.objectContaining({ message: 'a secret of the inside' }),
    route: '/broken',
  })
})

test('[W2] private routes answer this machine alone', async () => {
  expect((await world.call(undefined, { url: '/healthz' })).body).toEqual({ live: true })
  expect((await world.call(undefined, { url: '/readyz' })).body).toEqual({
    ready: true,
    checks: {},
  })
  health.add('log', () => ({ ok: false, reason: 'away' }))
  const unready = await world.call(undefined, { url: '/readyz' })
  expect([unready.status, unready.body.checks.log.reason]).toEqual([503, 'away'])
  health.remove('log')
  const metrics = await world.call(undefined, { url: '/metrics' })
  expect(metrics.body).toContain('process_cpu_seconds_total')
  for (const url of ['/healthz', '/readyz', '/metrics']) {
    for (const remoteAddress of ['192.0.2.7', '::ffff:192.0.2.7', '2001:db8::1']) {
      const { status, body } = await world.call(undefined, { url, remoteAddress })
      expect([status, body.code]).toEqual([404, 'not_found'])
    }
    for (const remoteAddress of ['127.0.0.1', '127.1.2.3', '::1', '::ffff:127.0.0.1']) {
      expect((await world.call(undefined, { url, remoteAddress })).status).toBe(200)
      const headers = { 'x-forwarded-for': '127.0.0.1' }
      const proxied = await world.call(undefined, { url, remoteAddress, headers })
      expect(proxied.status).toBe(404)
    }
  }
})

test('[H3] the OpenAPI document is 3.1 and has every route, with examples that fit their schemas', async () => {
  const { status, body } = await world.call(undefined, { url: '/openapi.json' })
  expect([status, body.openapi]).toEqual([200, '3.1.0'])
  expect(Object.keys(body.paths).toSorted()).toEqual(
    [
      '/.well-known/jwks.json',
      '/v1/auth/login',
      '/v1/auth/logout',
      '/v1/auth/refresh',
      '/v1/auth/register',
      '/v1/conversations',
      '/v1/conversations/{id}',
      '/v1/conversations/{id}/events',
      '/v1/conversations/{id}/members',
      '/v1/conversations/{id}/members/{userId}',
      '/v1/conversations/{id}/messages',
      '/v1/conversations/{id}/read',
      '/v1/gateway',
      '/v1/sessions',
      '/v1/sessions/{id}',
      '/v1/users',
      '/v1/users/me',
      '/v1/users/me/password',
      '/v1/users/{id}',
    ].toSorted(),
  )
  const open = ['/v1/auth/register', '/v1/auth/login', '/v1/auth/refresh', '/.well-known/jwks.json']
  for (const [path, methods] of Object.entries<Record<string, OpenApiOperation>>(body.paths)) {
    for (const operation of Object.values(methods)) {
      expect(operation.summary, path).toEqual(expect.any(String))
      expect(operation.security, path).toEqual(
        open.includes(path) ? undefined : [{ accessToken: [] }],
      )
      expect(operation.responses['4XX']?.content).toHaveProperty('application/problem+json')
    }
  }
  const checked = { examples: 0 }
  checkExamples(body.paths, checked)
  expect(checked.examples).toBeGreaterThan(50)
})

interface OpenApiOperation {
  summary: string
  security?: unknown
  responses: Record<string, { content?: object }>
}

/** Whatever has `examples` is a schema: each example must be one of its values. */
function checkExamples(node: unknown, checked: { examples: number }): void {
  if (typeof node !== 'object' || node === null) return
  const { examples } = node as { examples?: unknown }
  if (Array.isArray(examples)) {
    const schema = Compile(node as object)
    for (const example of examples) {
      expect(schema.Check(example), JSON.stringify(node)).toBe(true)
      checked.examples += 1
    }
  }
  for (const child of Object.values(node)) checkExamples(child, checked)
}

function gate(): { open: () => void; opened: Promise<void> } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

const portOf = (app: FastifyInstance) => (app.addresses()[0] as { port: number }).port

/** What comes back on a connection of one's own, until it is closed. */
function exchange(request: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(portOf(world.app), '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('end', () => resolve(Buffer.concat(chunks).toString('latin1')))
    socket.on('error', reject)
    socket.write(request)
  })
}

test('bytes that are no HTTP get a problem and are cut off', async () => {
  for (const request of [
    'nonsense\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01',
  ]) {
    const answer = await exchange(request)
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    expect(answer).toContain('application/problem+json')
    expect(JSON.parse(answer.split('\r\n\r\n')[1] as string)).toMatchObject({ code: 'invalid' })
  }
})

test('headers over 16 KiB are too_large', async () => {
  const answer = await exchange(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`)
  expect(answer).toMatch(/^HTTP\/1\.1 413 /)
  expect(answer).toContain('"code":"too_large"')
})

test('a body announced or sent over 64 KiB is 413, and the answer arrives', async () => {
  const url = `http://127.0.0.1:${portOf(world.app)}/v1/auth/login`
  for (const bytes of [64 * 1024 + 1, 1024 * 1024, 4 * 1024 * 1024]) {
    const body = JSON.stringify({ username: 'a', password: 'x'.repeat(bytes) })
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(url, { method: 'POST', headers, body })
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      413,
      'too_large',
    ])
    /* A client that reads nothing before it has sent everything is not reset while it sends. */
    const head = `POST /v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`
    const socket = connect(portOf(world.app), '127.0.0.1')
    const whole = `${head}Content-Length: ${body.length}\r\n\r\n${body}`
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject)
      socket.write(whole, (error) => (error ? reject(error) : resolve()))
    })
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 413 /)
  }
})

test('an expired token is 401 token_expired', async () => {
  const short = await openTestWorld({ accessTokenSeconds: -60 }, sameTables())
  const late = await short.person('late')
  const { status, body } = await world.call(late, { url: '/v1/users/me' })
  expect([status, body.code]).toEqual([401, 'token_expired'])
  await short.close()
})

test('[H11] with the database away reads are 503 unavailable, and say when to come again', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'parley-test-'))
  const log = createLogger({ name: 'test-database', level: 'silent' })
  const server = await startEmbeddedPostgres({ dataDir, log })
  const db = await connectDatabase({ url: server.url, entities: accountEntities })
  await db.transaction(async (sql) => {
    for (const statement of schema001) await sql.query(statement)
  })
  const broken = await openTestWorld({}, { db, close: () => db.close() })
  try {
    const person = await broken.person()
    expect((await broken.call(person, { url: '/v1/users/me' })).status).toBe(200)
    await server.stop()
    const id = newId()
    for (const url of [
      'users/me',
      'users?query=a',
      'conversations',
      `conversations/${id}/events`,
    ]) {
      const { status, body, headers } = await broken.call(person, { url: `/v1/${url}` })
      expect([status, body.code, headers['retry-after']], url).toEqual([503, 'unavailable', '1'])
    }
    const signedOut = [
      ['/v1/auth/login', { username: 'someone', password: 'something' }],
      ['/v1/auth/register', { username: 'someone', password: 'something' }],
      ['/v1/auth/refresh', { refreshToken: person.refreshToken }],
    ] as const
    for (const [url, payload] of signedOut) {
      const { status, body } = await broken.call(undefined, { method: 'POST', url, payload })
      expect([status, body.code], url).toEqual([503, 'unavailable'])
    }
    await expect(broken.accounts.checkSessions([id])).rejects.toThrow(DatabaseUnavailable)
    expect(broken.errors).toEqual([])
  } finally {
    await broken.close()
    await server.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}, 30_000)

test('closing answers what is in flight, and refuses what comes meanwhile', async () => {
  const closing = await openTestWorld({}, sameTables())
  const person = await closing.person('closing')
  const inFlight = gate()
  const answered = gate()
  closing.writer.answer = async () => {
    inFlight.open()
    await answered.opened
    return { seq: 1, at: 1 }
  }
  await closing.app.listen({ host: '127.0.0.1', port: 0 })
  let requests = 0
  closing.app.server.on('request', () => {
    requests += 1
  })
  const socket = connect(portOf(closing.app), '127.0.0.1')
  const received: Buffer[] = []
  socket.on('data', (chunk) => received.push(chunk))
  const authorization = `Host: x\r\nAuthorization: Bearer ${person.accessToken}\r\n`
  const body = JSON.stringify({ id: newId(), body: { text: 'last words' } })
  socket.write(
    `POST /v1/conversations/${newId()}/messages HTTP/1.1\r\n${authorization}` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  await inFlight.opened
  const closed = closing.app.close()
  await vi.waitFor(() => expect(closing.app.server.listening).toBe(false))
  socket.write(`GET /v1/users/me HTTP/1.1\r\n${authorization}\r\n`)
  await vi.waitFor(() => expect(requests).toBe(2))
  answered.open()
  await once(socket, 'end')
  const [sent, refused] = Buffer.concat(received)
    .toString()
    .split(/(?=HTTP\/1\.1 )/)
  expect(sent).toMatch(/^HTTP\/1\.1 200 /)
  expect(refused).toMatch(/^HTTP\/1\.1 503 /)
  expect(refused).toMatch(/\r\nconnection: close\r\n/i)
  expect(refused).toContain('"code":"unavailable"')
  await closed
  await closing.close()
}, 30_000)
