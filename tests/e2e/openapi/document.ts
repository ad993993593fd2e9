import { Compile } from 'typebox/schema'
import { expect } from 'vitest'
import { uuid7 } from '../harness/ids.ts'
import { type Person, type SignedIn, type World, worldOf } from '../harness/people.ts'
import { type StandaloneServer, startStandalone } from '../harness/standalone-server.ts'

/**
 * Every example of /openapi.json is sent to the running server, by the rule that its description states: an id of the
 * examples gives way to that of the thing it stands for, and `id` in a body is new.
 */

export const stands = {
  user: '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55',
  other: '01980c36-51aa-7d04-8f2e-6b0a94c3d218',
  conversation: '01980c37-0b7c-7f5d-a1c4-93e8d5b62f07',
  message: '01980c37-9e14-72b8-b6d9-4c51f0a7e833',
  session: '01980c36-4d31-7b90-8e57-a4d2c86f1b3a',
} as const
export const examplePassword = 'correct horse battery'

export interface Media {
  schema: Schema
  example?: unknown
  examples?: Record<string, { value: { code: string; status: number } }>
}
interface Schema {
  properties?: Record<string, Schema>
  items?: Schema
}
export interface Operation {
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
export interface Document {
  openapi: string
  info: { description: string }
  tags: { name: string }[]
  paths: Record<string, Record<string, Operation>>
}

/** A running server and what it says of its routes. */
export interface Described {
  server: StandaloneServer
  world: World
  document: Document
  operations: Operation[]
}

export async function startDescribed(): Promise<Described> {
  const server = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
  const world = worldOf(server)
  const document = await world.http.call<Document>('GET', '/openapi.json')
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      name: `${method} ${path}`,
      method: method.toUpperCase(),
      path,
    })),
  )
  return { server, world, document, operations }
}

/** What the examples name, made for one request. */
export interface Scene {
  person: Person
  other: Person
  ids: Record<string, string>
  kind: 'group' | 'channel'
}

export async function register(on: World): Promise<Person> {
  const username = `someone-${uuid7().slice(-12)}`
  const password = examplePassword
  const body = { username, password }
  const signedIn = await on.http.call<SignedIn>('POST', '/v1/auth/register', { body, expect: 201 })
  const { user, ...tokens } = signedIn
  return { id: user.id, username, password, ...tokens }
}

export async function sceneOf(
  world: World,
  { name }: Operation,
  kind: Scene['kind'] = 'group',
): Promise<Scene> {
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

export interface Ready {
  method: string
  url: string
  body: unknown
  token: string | undefined
}

/** The example as a request. */
export function requestOf(operation: Operation, scene: Scene): Ready {
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

export interface Answer {
  status: number
  type: string
  headers: Headers
  text: string
}

export async function send(
  request: Ready,
  base: string,
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

export function expectFits(media: Media, value: unknown, what: string): void {
  expect(Compile(media.schema).Check(value), `${what}: ${JSON.stringify(value)}`).toBe(true)
  expect(unnamed(media.schema, value), what).toEqual([])
}
