import { afterAll, beforeAll, expect } from 'vitest'
import type { CallOptions, Method } from '../harness/http-client.ts'
import { type Person, type World, worldOf } from '../harness/people.ts'
import type { Stack } from '../harness/stack.ts'
import { startStandalone } from '../harness/standalone-server.ts'

export interface Answer {
  status: number
  headers: Headers
  text: string
  /** The answer's JSON, undefined when it has no body. */
  // biome-ignore lint/suspicious/noExplicitAny: every test says itself what it expects
  body: any
}

export interface Routes {
  readonly stack: Stack
  readonly world: World
  readonly ann: Person
  readonly ben: Person
  readonly cleo: Person
  /** A call as somebody, or as nobody. A string as `body` is sent as it is. */
  ask(as: Person | undefined, method: Method, path: string, body?: unknown): Promise<Answer>
}

/** A server for a test file, and three users. */
export function setUpRoutes(env: Record<string, string> = {}): () => Routes {
  let routes: Routes | undefined
  beforeAll(async () => {
    const stack = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0', ...env } })
    const world = worldOf(stack)
    const [ann, ben, cleo] = (await world.registerMany(3)) as [Person, Person, Person]
    routes = { stack, world, ann, ben, cleo, ask: askIn(world) }
  }, 90_000)
  afterAll(() => routes?.stack.dispose())
  return () => {
    if (routes === undefined) throw new Error('the server did not start')
    return routes
  }
}

function askIn(world: World): Routes['ask'] {
  return async (as, method, path, body) => {
    const options: CallOptions = {}
    if (as !== undefined) options.token = as.accessToken
    if (typeof body === 'string') options.text = body
    else if (body !== undefined) options.body = body
    const { status, headers, text } = await world.http.raw(method, path, options)
    const isJson = /^application\/(problem\+)?json/.test(headers.get('content-type') ?? '')
    return { status, headers, text, body: isJson ? JSON.parse(text) : undefined }
  }
}

/** PROTOCOL.md's table of codes. */
const statuses: Record<string, number> = {
  unsupported: 400,
  invalid: 400,
  unauthenticated: 401,
  token_expired: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  id_conflict: 409,
  too_large: 413,
  rate_limited: 429,
  unavailable: 503,
}

/** [H2] An RFC 9457 document, whole and with nothing else in it. */
export function expectProblem({ status, headers, body, text }: Answer, code: string): void {
  expect({ status, code: body?.code }, text).toEqual({ status: statuses[code], code })
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json/)
  const { retryAfterMs, ...rest } = body
  expect(rest).toEqual({
    type: `urn:parley:problem:${code}`,
    title: expect.stringMatching(/./),
    status,
    detail: expect.stringMatching(/./),
    code,
  })
  const retryAfter = headers.get('retry-after')
  if (retryAfterMs === undefined) expect(retryAfter).toBeNull()
  else expect(Number(retryAfter)).toBe(Math.ceil(retryAfterMs / 1000))
}

/** [H3] 204 says all there is to say. */
export function expectNoContent({ status, text }: Answer): void {
  expect({ status, text }).toEqual({ status: 204, text: '' })
}
