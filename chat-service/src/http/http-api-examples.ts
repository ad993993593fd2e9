import { type ErrorCode, errors, failure } from '@parley/proto/errors'
import { problemOf } from './problems.ts'
import { examples } from './schemas.ts'

/**
 * Completes the OpenAPI document: every request and every answer gets a whole example, made of those of its schema's
 * parts, and every route the problems that it may answer with.
 */

interface Schema {
  type?: string
  examples?: unknown[]
  enum?: unknown[]
  default?: unknown
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
}

interface Media {
  schema?: Schema
  example?: unknown
  examples?: Record<string, { summary: string; value: unknown }>
}

interface Operation {
  parameters?: { name: string; in: string; required?: boolean; example?: unknown; schema: Schema }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { content?: Record<string, Media> }>
  security?: unknown[]
}

export interface Document {
  paths: Record<string, Record<string, Operation>>
}

const json = 'application/json'
const problemJson = 'application/problem+json'

/** Changes the document it is given. */
export function completeExamples(document: Document): void {
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const body = operation.requestBody?.content[json]
      if (body?.schema !== undefined) body.example ??= exampleOf(body.schema)
      for (const parameter of operation.parameters ?? []) {
        parameter.example = pathExamples[parameter.name] ?? parameter.example
        if (parameter.example === undefined) delete parameter.example
      }
      for (const answer of Object.values(operation.responses)) {
        const media = answer.content?.[json]
        if (media?.schema !== undefined) media.example ??= exampleOf(media.schema)
      }
      addProblems(operation, [
        ...usualCodes(path, operation),
        ...(furtherCodes[`${method} ${path}`] ?? []),
      ])
    }
  }
}

/** A member whom one changes is rather another than oneself. */
const pathExamples: Record<string, unknown> = { userId: examples.other }

/** Undefined where a part that is required has no example. Optional parts without one are left out. */
export function exampleOf(schema: Schema): unknown {
  const given = schema.examples?.[0] ?? schema.enum?.[0] ?? schema.default
  if (given !== undefined) return given
  if (schema.type === 'array') {
    const item = schema.items === undefined ? undefined : exampleOf(schema.items)
    return item === undefined ? undefined : [item]
  }
  if (schema.type !== 'object') return undefined
  const example: Record<string, unknown> = {}
  for (const [name, part] of Object.entries(schema.properties ?? {})) {
    const required = schema.required?.includes(name) ?? false
    const value = exampleOf(part) ?? (required && part.type === 'boolean' ? false : undefined)
    if (value !== undefined) example[name] = value
    else if (required) return undefined
  }
  return example
}

/** What follows from a route's form. */
function usualCodes(path: string, operation: Operation): ErrorCode[] {
  const codes: ErrorCode[] = []
  const named = operation.parameters?.some((parameter) => parameter.in === 'path')
  if (operation.security !== undefined) codes.push('unauthenticated', 'token_expired')
  if (operation.parameters !== undefined || operation.requestBody !== undefined)
    codes.push('invalid')
  if (operation.requestBody !== undefined) codes.push('unsupported', 'too_large')
  if (named) codes.push('not_found')
  if (!path.startsWith('/.well-known')) codes.push('unavailable')
  return [...codes, 'internal']
}

/** What follows from what a route does. */
const furtherCodes: Record<string, ErrorCode[]> = {
  'post /v1/auth/register': ['forbidden', 'conflict', 'overloaded'],
  'post /v1/auth/login': ['unauthenticated', 'overloaded'],
  'post /v1/auth/refresh': ['unauthenticated'],
  'put /v1/users/me/password': ['forbidden', 'overloaded'],
  'post /v1/conversations': ['id_conflict', 'rate_limited', 'overloaded'],
  'patch /v1/conversations/{id}': ['forbidden', 'rate_limited', 'overloaded'],
  'post /v1/conversations/{id}/members': ['forbidden', 'id_conflict', 'rate_limited', 'overloaded'],
  'delete /v1/conversations/{id}/members/{userId}': ['forbidden', 'rate_limited', 'overloaded'],
  'patch /v1/conversations/{id}/members/{userId}': ['forbidden', 'rate_limited', 'overloaded'],
  'post /v1/conversations/{id}/messages': [
    'forbidden',
    'id_conflict',
    'rate_limited',
    'overloaded',
  ],
  'put /v1/conversations/{id}/read': ['overloaded'],
}

function addProblems(operation: Operation, codes: readonly ErrorCode[]): void {
  for (const [range, least] of [
    ['4XX', 400],
    ['5XX', 500],
  ] as const) {
    const media = operation.responses[range]?.content?.[problemJson]
    if (media === undefined) continue
    const fitting = codes.filter((code) => Math.floor(errors[code].status / 100) * 100 === least)
    if (fitting.length === 0) continue
    media.examples = Object.fromEntries(
      fitting.map((code) => {
        const value = problemOf(failure(code, sentences[code]))
        return [code, { summary: `${value.status} ${value.title}`, value }]
      }),
    )
  }
}

/** One of those that each code comes with. */
const sentences: Record<ErrorCode, string> = {
  bad_frame: 'this is no frame',
  unsupported: 'a request body is application/json',
  invalid: 'id must be a UUID in lower case',
  unauthenticated: 'the access token is not valid',
  token_expired: 'the access token has expired, refresh it',
  forbidden: 'this is not yours to do',
  not_found: 'no such resource',
  conflict: 'the username ada is taken',
  id_conflict: 'this id was accepted with other content',
  too_large: 'a request body is at most 64 KiB',
  rate_limited: 'this user sends too fast',
  too_many_inflight: 'too many requests await their answer',
  overloaded: 'too much waits here, try again',
  unavailable: 'the database is away',
  internal: 'something went wrong here',
}
