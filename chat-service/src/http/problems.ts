import { STATUS_CODES } from 'node:http'
import { isUnavailable } from '@parley/platform/postgres/unavailable'
import { type ErrorCode, errors, type Failure, failure } from '@parley/proto/errors'
import type { FastifyError, FastifyReply, FastifySchemaValidationError } from 'fastify'
import { describeFlaw } from './flaws.ts'

/** RFC 9457 problem details, as every error answer has them. */
export interface Problem {
  type: string
  title: string
  status: number
  detail: string
  code: ErrorCode
  /** When the same request may be sent again. */
  retryAfterMs?: number
}

/** Where a code that may be retried says nothing of when. */
const retryAfterMs = 1_000

export function problemOf({ code, message, retryAfterMs: after }: Failure): Problem {
  const { status, retryable } = errors[code]
  const problem: Problem = {
    type: `urn:parley:problem:${code}`,
    title: titles[code],
    status,
    detail: message,
    code,
  }
  if (after !== undefined) problem.retryAfterMs = after
  else if (retryable && status !== 500) problem.retryAfterMs = retryAfterMs
  return problem
}

/** Answers with a problem: its status, `Retry-After` where it may be tried again, `WWW-Authenticate` on 401. */
export function sendProblem(reply: FastifyReply, refused: Failure): FastifyReply {
  const problem = problemOf(refused)
  if (problem.retryAfterMs !== undefined) {
    reply.header('retry-after', String(Math.ceil(problem.retryAfterMs / 1000)))
  }
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="parley"')
  reply.refusal = problem.code
  return reply
    .code(problem.status)
    .type('application/problem+json; charset=utf-8')
    .send(JSON.stringify(problem))
}

/** The bytes of an answer where there is no reply object any more. */
export function rawProblem(refused: Failure): string {
  const problem = problemOf(refused)
  const body = JSON.stringify(problem)
  return [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}

type ThrownError = Error & {
  code?: unknown
  statusCode?: unknown
  validation?: FastifySchemaValidationError[]
  validationContext?: string
}

/** What an error thrown on the way means to the caller. Nothing of an unexpected one gets out. */
export function failureOf(error: FastifyError | Error): Failure {
  const thrown = error as ThrownError
  if (thrown.validation !== undefined) return failure('invalid', describeFlaw(thrown.validation))
  if (typeof thrown.code === 'string') {
    const known = frameworkFailures.get(thrown.code)
    if (known !== undefined) return known
  }
  if (isUnavailable(error)) return failure('unavailable', 'the database is away', retryAfterMs)
  const { statusCode } = thrown
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return failure('invalid', error.message)
  }
  return failure('internal', 'something went wrong here')
}

/** Fastify's own errors (fastify/docs/Reference/Errors.md) that have a code of ours. */
const frameworkFailures = new Map<string, Failure>([
  ['FST_ERR_CTP_BODY_TOO_LARGE', failure('too_large', 'a request body is at most 64 KiB')],
  ['FST_ERR_CTP_INVALID_MEDIA_TYPE', failure('unsupported', 'a request body is application/json')],
  ['FST_ERR_BAD_URL', failure('invalid', 'the URL is not well-formed')],
  ['FST_ERR_MAX_PARAM_LENGTH', failure('not_found', 'no such resource')],
  ['FST_ERR_HANDLER_TIMEOUT', failure('unavailable', 'this took too long', retryAfterMs)],
])

const titles: Record<ErrorCode, string> = {
  bad_frame: 'Not a frame',
  unsupported: 'Not supported',
  invalid: 'Invalid request',
  unauthenticated: 'Not authenticated',
  token_expired: 'Access token expired',
  forbidden: 'Not allowed',
  not_found: 'Not found',
  conflict: 'Conflict',
  id_conflict: 'Id used with other content',
  too_large: 'Too large',
  rate_limited: 'Too many requests',
  too_many_inflight: 'Too many requests in flight',
  overloaded: 'Overloaded',
  unavailable: 'Unavailable',
  internal: 'Internal error',
}
