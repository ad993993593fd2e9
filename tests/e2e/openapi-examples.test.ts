import { Compile } from 'typebox/schema'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from './harness/deadline.ts'
import { uuid7 } from './harness/ids.ts'
import { type Person, type SignedIn, type World, worldOf } from './harness/people.ts'
import { processTree, signal } from './harness/process-tree.ts'
import { type StandaloneServer, startStandalone } from './harness/standalone-server.ts'

/**
 * Every example of /openapi.json is sent to the running server, by the rule that its description states: an id of the
 * examples is put in place of by that of the thing it stands for, and `id` in a body is new.
 */

const stands = {
  user: '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55',
  other: '01980c36-51aa-7d04-8f2e-6b0a94c3d218',
  conversation: '01980c37-0b7c-7f5d-a1c4-93e8d5b62f07',
  message: '01980c37-9e14-72b8-b6d9-4c51f0a7e833',
  session: '01980c36-4d31-7b90-8e57-a4d2c86f1b3a',
} as const
const examplePassword = 'correct horse battery'

interface Media {
  schema: Schema
  example?: unknown
  examples?: Record<string, { value: { code: string; status: number } }>
}
interface Schema {
  properties?: Record<string, Schema>
  items?: Schema
}
interface Operation {
  name: string
  method: string
  path: string
  tags?: string[]
  summary?: string
  security?: unknown[]
  parameters?: { name: string; in: string; required?: boolean; example?: unknown }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { description?: string; content?: Record<string, Media> }>
}
interface Document {
  openapi: string
  info: { description: string }
  tags: { name: string }[]
  paths: Record<string, Record<string, Operation>>
}

let server: StandaloneServer
let world: World
let document: Document
let operations: Operation[]
beforeAll(async () => {
  server = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
  world = worldOf(server)
  document = await world.http.call<Document>('GET', '/openapi.json')
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      name: `${method} ${path}`,
      method: method.toUpperCase(),
      path,
    })),
  )
}, 90_000)
afterAll(() => server?.dispose())

/** What the examples name, made for one request. */
interface Scene {
  person: Person
  other: Person
  ids: Record<string, string>
  kind: 'group' | 'channel'
}

async function register(on: World): Promise<Person> {
  const username = `someone-${uuid7().slice(-12)}`
  const password = examplePassword
  const body = { username, password }
  const signedIn = await on.http.call<SignedIn>('POST', '/v1/auth/register', { body, expect: 201 })
  const { user, ...tokens } = signedIn
  return { id: user.id, username, password, ...tokens }
}

async function sceneOf({ name }: Operation, kind: Scene['kind'] = 'group'): Promise<Scene> {
  const person = await register(world)
  const other = await register(world)
  /* Who is to be added is not there yet. */
  const members = name === 'post /v1/conversations/{id}/members' ? [] : [other]
  const conversation = await world.group(person, members, { kind })
  const message = uuid7()
  await world.http.call('POST', `/v1/conversations/${conversation}/messages`, {
    token: person.accessToken,
    body: { id: message, body: { text: 'Hello!' } },
  })
  const { username, password } = person
  const second = await world.http.call<SignedIn>('POST', '/v1/auth/login', {
    body: { username, password },
  })
  const session = JSON.parse(
    Buffer.from(second.accessToken.split('.')[1] as string, 'base64url').toString(),
  ).sid
  const real = { user: person.id, other: other.id, conversation, message, session }
  const ids = Object.fromEntries(
    Object.entries(stands).map(([what, id]) => [id, real[what as keyof typeof real]]),
  )
  return { person, other, ids, kind }
}

interface Ready {
  method: string
  url: string
  body: unknown
  token: string | undefined
}

/** The example as a request. */
function requestOf(operation: Operation, scene: Scene): Ready {
  const put = (value: unknown): unknown => {
    if (typeof value === 'string') return scene.ids[value] ?? value
    if (Array.isArray(value)) return value.map(put)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, put(part)]))
  }
  const query = new URLSearchParams()
  let path = operation.path
  for (const { name, in: place, example } of operation.parameters ?? []) {
    if (place === 'path') path = path.replace(`{${name}}`, String(put(example)))
    else if (example !== undefined) query.set(name, String(put(example)))
  }
  const example = operation.requestBody?.content['application/json']?.example
  const body = put(example) as Record<string, unknown> | undefined
  if (body?.id !== undefined) body.id = uuid7()
  if (body?.refreshToken !== undefined) body.refreshToken = scene.person.refreshToken
  const token = operation.security === undefined ? undefined : scene.person.accessToken
  const url = query.size === 0 ? path : `${path}?${query}`
  return { method: operation.method, url, body, token }
}

interface Answer {
  status: number
  type: string
  headers: Headers
  text: string
}

async function send(
  request: Ready,
  base = server.httpUrl,
  contentType = 'application/json',
): Promise<Answer> {
  const headers: Record<string, string> = {}
  if (request.token !== undefined) headers.authorization = `Bearer ${request.token}`
  const init: RequestInit = { method: request.method, headers }
  if (request.body !== undefined) {
    headers['content-type'] = contentType
    init.body = JSON.stringify(request.body)
  }
  const response = await fetch(base + request.url, init)
  const type = response.headers.get('content-type') ?? ''
  return { status: response.status, type, headers: response.headers, text: await response.text() }
}

/** Fields of a value that its schema does not name. */
function unnamed(schema: Schema, value: unknown, at = ''): string[] {
  if (Array.isArray(value))
    return value.flatMap((item) => unnamed(schema.items ?? {}, item, `${at}[]`))
  if (typeof value !== 'object' || value === null || schema.properties === undefined) return []
  return Object.entries(value).flatMap(([name, part]) => {
    const own = schema.properties?.[name]
    if (own !== undefined) return unnamed(own, part, `${at}.${name}`)
    return Object.keys(schema.properties ?? {}).length === 0 ? [] : [`${at}.${name}`]
  })
}

function expectFits(media: Media, value: unknown, what: string): void {
  expect(Compile(media.schema).Check(value), `${what}: ${JSON.stringify(value)}`).toBe(true)
  expect(unnamed(media.schema, value), what).toEqual([])
}

test('every route has a summary, a tag, an example of each request and each answer, and its problems', () => {
  const tags = document.tags.map((tag) => tag.name)
  for (const id of Object.values(stands)) expect(document.info.description).toContain(id)
  for (const operation of operations) {
    const { name, summary, parameters = [], requestBody, responses } = operation
    expect(summary, name).toMatch(/^\S.{3,}/)
    expect(tags, name).toContain(operation.tags?.[0])
    for (const { in: place, required, example } of parameters) {
      if (place === 'path' || required) expect(example, name).toBeDefined()
    }
    if (requestBody !== undefined) {
      const media = requestBody.content['application/json'] as Media
      expectFits(media, media.example, name)
    }
    for (const [status, { content }] of Object.entries(responses)) {
      if (content === undefined) expect(status, name).toBe('204')
      const media = content?.['application/json']
      if (media !== undefined) expectFits(media, media.example, `${name} ${status}`)
    }
    for (const range of ['4XX', '5XX']) {
      const media = responses[range]?.content?.['application/problem+json']
      expect(media, `${name} ${range}`).toBeDefined()
      if (range === '5XX') expect(Object.keys(media?.examples ?? {}), name).toContain('internal')
      for (const [code, { value }] of Object.entries(media?.examples ?? {})) {
        expectFits(media as Media, value, `${name} ${code}`)
        expect(value).toMatchObject({ code, type: `urn:parley:problem:${code}` })
        expect(`${Math.floor(value.status / 100)}XX`).toBe(range)
      }
    }
  }
})

test('every example of a request is answered as the document says, and the answer fits its schema', async () => {
  for (const operation of operations) {
    const scene = await sceneOf(operation)
    const request = requestOf(operation, scene)
    /* Where a second status says that it was there already, the same is sent again. */
    const wanted = Object.keys(operation.responses)
      .filter((status) => status.startsWith('2'))
      .toSorted((a, b) => Number(b) - Number(a))
    expect(wanted.length, operation.name).toBeGreaterThan(0)
    for (const status of wanted) {
      const answer = await send(request)
      expect([operation.name, answer.status, answer.text]).toEqual([
        operation.name,
        Number(status),
        answer.text,
      ])
      const media = operation.responses[status]?.content?.['application/json']
      if (media === undefined) expect(answer.text, operation.name).toBe('')
      else expectFits(media, JSON.parse(answer.text), operation.name)
    }
  }
})

/** How each refusal comes about, of a request that would have been accepted. */
type Provoke = (operation: Operation, scene: Scene, request: Ready) => Promise<Ready> | Ready
const provoke: Record<string, Provoke> = {
  unauthenticated(operation, _scene, request) {
    if (operation.security !== undefined) return { ...request, token: undefined }
    const wrong = { password: 'not the password', refreshToken: 'none' }
    return { ...request, body: { ...(request.body as object), ...wrong } }
  },
  invalid(operation, _scene, request) {
    if (operation.path.includes('{')) {
      return { ...request, url: operation.path.replaceAll(/\{\w+\}/g, 'nonsense') }
    }
    if (request.body === undefined) return { ...request, url: `${operation.path}?limit=0&query=` }
    const fields = Object.keys(request.body as object)
    return { ...request, body: Object.fromEntries(fields.map((field) => [field, 5])) }
  },
  too_large: (_operation, _scene, request) => ({
    ...request,
    body: { ...(request.body as object), more: 'x'.repeat(70_000) },
  }),
  not_found: (operation, scene) => {
    const ids = Object.fromEntries(Object.keys(scene.ids).map((id) => [id, uuid7()]))
    return requestOf(operation, { ...scene, ids: { ...ids, [stands.other]: scene.other.id } })
  },
  forbidden(operation, scene, request) {
    if (operation.name.endsWith('/password')) {
      return { ...request, body: { currentPassword: 'not it', password: examplePassword } }
    }
    const { person, other } = scene
    const swapped = { ...scene.ids, [stands.user]: other.id, [stands.other]: person.id }
    return requestOf(operation, { ...scene, person: other, ids: swapped })
  },
  async conflict(_operation, _scene, request) {
    await send(request)
    return request
  },
  async id_conflict(operation, scene, request) {
    const body = request.body as Record<string, unknown>
    if (operation.name === 'post /v1/conversations') {
      expect((await send(request)).status).toBe(201)
      return { ...request, body: { ...body, title: 'Something else' } }
    }
    return { ...request, body: { ...body, id: scene.ids[stands.message], body: { text: 'Other' } } }
  },
}

function codesOf(operation: Operation, range: '4XX' | '5XX'): string[] {
  return Object.keys(
    operation.responses[range]?.content?.['application/problem+json']?.examples ?? {},
  )
}

async function expectProblem(operation: Operation, code: string, answer: Answer): Promise<void> {
  const range = answer.status < 500 ? '4XX' : '5XX'
  const media = operation.responses[range]?.content?.['application/problem+json'] as Media
  const example = media.examples?.[code]?.value as Record<string, unknown> | undefined
  expect(answer.type, `${operation.name} ${code}: ${answer.text}`).toMatch(
    /^application\/problem\+json/,
  )
  const { detail, ...problem } = JSON.parse(answer.text) as Record<string, unknown>
  const { detail: _said, ...said } = example ?? {}
  expect({ ...problem, name: operation.name }).toEqual({ ...said, name: operation.name })
  expect(detail, operation.name).toMatch(/^\S/)
}

describe('every example of a problem is provoked', () => {
  test('where the one who asks is wrong', async () => {
    const provoked = new Set<string>()
    for (const operation of operations) {
      const scenes = new Map<Scene['kind'], Scene>()
      for (const code of codesOf(operation, '4XX')) {
        /* Each on a server of its own, below. */
        if (
          code === 'token_expired' ||
          `${operation.name} ${code}` === 'post /v1/auth/register forbidden'
        )
          continue
        const kind =
          code === 'forbidden' && operation.name.endsWith('/messages') ? 'channel' : 'group'
        const scene = scenes.get(kind) ?? (await sceneOf(operation, kind))
        scenes.set(kind, scene)
        const request = requestOf(operation, scene)
        if (code === 'forbidden' && operation.name.endsWith('/members')) {
          const url = `/v1/conversations/${scene.ids[stands.conversation]}/members`
          const add = { method: 'POST', url, body: { members: [scene.other.id] } }
          expect((await send({ ...add, token: scene.person.accessToken })).status).toBe(200)
        }
        const answer =
          code === 'unsupported'
            ? await send(request, server.httpUrl, 'text/plain')
            : await send(await (provoke[code] as Provoke)(operation, scene, request))
        await expectProblem(operation, code, answer)
        provoked.add(code)
      }
    }
    expect([...provoked].toSorted()).toEqual([...Object.keys(provoke), 'unsupported'].toSorted())
  })

  test('where registration is by invitation', async () => {
    const inviting = await startStandalone({ env: { PARLEY_REGISTRATION: 'invite' } })
    try {
      const operation = operations.find((o) => o.name === 'post /v1/auth/register') as Operation
      const body = operation.requestBody?.content['application/json']?.example
      const request = { method: 'POST', url: operation.path, body, token: undefined }
      await expectProblem(operation, 'forbidden', await send(request, inviting.httpUrl))
    } finally {
      await inviting.dispose()
    }
  })

  test('where the access token has expired', async () => {
    const brief = await startStandalone({ env: { PARLEY_ACCESS_TOKEN_SECONDS: '1' } })
    try {
      const on = worldOf(brief)
      const person = await register(on)
      const token = person.accessToken
      await eventually(
        'the token has expired',
        async () => (await on.http.raw('GET', '/v1/users/me', { token })).status === 401,
        { deadlineMs: 30_000 },
      )
      const ids = Object.fromEntries(Object.values(stands).map((id) => [id, uuid7()]))
      const scene: Scene = { person, other: person, ids, kind: 'group' }
      for (const operation of operations) {
        if (!codesOf(operation, '4XX').includes('token_expired')) continue
        const answer = await send(requestOf(operation, scene), brief.httpUrl)
        await expectProblem(operation, 'token_expired', answer)
      }
    } finally {
      await brief.dispose()
    }
  })

  test('where the database is away', async () => {
    const away = operations.filter((o) => codesOf(o, '5XX').includes('unavailable'))
    expect(away.length).toBeGreaterThan(15)
    const scene = await sceneOf(away[0] as Operation)
    const requests = away.map((operation) => ({ operation, request: requestOf(operation, scene) }))
    const postgres = processTree(server.pid)
      .filter(({ command }) => /postgres/.test(command))
      .map(({ pid }) => pid)
    expect(postgres.length).toBeGreaterThan(0)
    signal(postgres, 'SIGSTOP')
    try {
      const token = scene.person.accessToken
      await eventually(
        'what was known of the session is forgotten',
        async () => (await world.http.raw('GET', '/v1/gateway', { token })).status === 503,
        { deadlineMs: 40_000 },
      )
      const answers = await Promise.all(
        requests.map(async ({ operation, request }) => ({
          operation,
          answer: await send(request),
        })),
      )
      for (const { operation, answer } of answers) {
        await expectProblem(operation, 'unavailable', answer)
        expect(answer.headers.get('retry-after'), operation.name).toBe('1')
      }
    } finally {
      signal(postgres, 'SIGCONT')
    }
  })
})
