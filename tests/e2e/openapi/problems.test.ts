import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../harness/deadline.ts'
import { uuid7 } from '../harness/ids.ts'
import { worldOf } from '../harness/people.ts'
import { processTree, signal } from '../harness/process-tree.ts'
import { startStandalone } from '../harness/standalone-server.ts'
import {
  type Answer,
  type Described,
  examplePassword,
  type Media,
  type Operation,
  type Ready,
  register,
  requestOf,
  type Scene,
  sceneOf,
  send,
  stands,
  startDescribed,
} from './document.ts'

let described: Described
let operations: Operation[]
/** Of the server with the document. */
let base: string
beforeAll(async () => {
  described = await startDescribed()
  operations = described.operations
  base = described.server.httpUrl
}, 90_000)
afterAll(() => described?.server.dispose())

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
    await send(request, base)
    return request
  },
  async id_conflict(operation, scene, request) {
    const body = request.body as Record<string, unknown>
    if (operation.name === 'post /v1/conversations') {
      expect((await send(request, base)).status).toBe(201)
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
  /* Their words and their times are of the case. */
  const formOf = ({ detail, retryAfterMs, ...rest }: Record<string, unknown>) => ({
    ...rest,
    detail: typeof detail,
    retryAfterMs: typeof retryAfterMs,
    name: operation.name,
  })
  expect(formOf(JSON.parse(answer.text))).toEqual(formOf(example ?? {}))
}

describe('every example of a problem is provoked', () => {
  test('[H2] where the one who asks is wrong', async () => {
    const provoked = new Set<string>()
    for (const operation of operations) {
      const scenes = new Map<Scene['kind'], Scene>()
      for (const code of codesOf(operation, '4XX')) {
        /* Each on a server of its own, below. */
        if (
          code === 'token_expired' ||
          code === 'rate_limited' ||
          `${operation.name} ${code}` === 'post /v1/auth/register forbidden'
        )
          continue
        const kind =
          code === 'forbidden' && operation.name.endsWith('/messages') ? 'channel' : 'group'
        const scene = scenes.get(kind) ?? (await sceneOf(described.world, operation, kind))
        scenes.set(kind, scene)
        const request = requestOf(operation, scene)
        if (code === 'forbidden' && operation.name.endsWith('/members')) {
          const url = `/v1/conversations/${scene.ids[stands.conversation]}/members`
          const add = { method: 'POST', url, body: { members: [scene.other.id] } }
          expect((await send({ ...add, token: scene.person.accessToken }, base)).status).toBe(200)
        }
        const answer =
          code === 'unsupported'
            ? await send(request, base, 'text/plain')
            : await send(await (provoke[code] as Provoke)(operation, scene, request), base)
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

  test('where one writes too fast', async () => {
    const slow = await startStandalone({
      env: { PARLEY_USER_MESSAGES_PER_SECOND: '1', PARLEY_USER_MESSAGES_BURST: '1' },
    })
    try {
      const on = worldOf(slow)
      const [person, other] = [await register(on), await register(on)]
      const fresh = Object.fromEntries(Object.values(stands).map((id) => [id, uuid7()]))
      const ids = { ...fresh, [stands.user]: person.id, [stands.other]: other.id }
      const scene: Scene = { person, other, ids, kind: 'group' }
      const limited = operations.filter((o) => codesOf(o, '4XX').includes('rate_limited'))
      expect(limited.length).toBeGreaterThan(4)
      for (const operation of limited) {
        const answer = await eventually(`${operation.name} is refused`, async () => {
          const tried = await send(requestOf(operation, scene), slow.httpUrl)
          return tried.status === 429 && tried
        })
        await expectProblem(operation, 'rate_limited', answer)
      }
    } finally {
      await slow.dispose()
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

  test('[H2] [H11] where the database is away', async () => {
    const away = operations.filter((o) => codesOf(o, '5XX').includes('unavailable'))
    expect(away.length).toBeGreaterThan(15)
    const scene = await sceneOf(described.world, away[0] as Operation)
    const requests = away.map((operation) => ({ operation, request: requestOf(operation, scene) }))
    const postgres = processTree(described.server.pid)
      .filter(({ command }) => /postgres/.test(command))
      .map(({ pid }) => pid)
    expect(postgres.length).toBeGreaterThan(0)
    signal(postgres, 'SIGSTOP')
    try {
      const token = scene.person.accessToken
      await eventually(
        'what was known of the session is forgotten',
        async () =>
          (await described.world.http.raw('GET', '/v1/gateway', { token })).status === 503,
        { deadlineMs: 40_000 },
      )
      const answers = await Promise.all(
        requests.map(async ({ operation, request }) => ({
          operation,
          answer: await send(request, base),
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
