import { type Failure, failure } from '@parley/proto/errors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { sendProblem } from './problems.ts'

/**
 * How requests are read before their schemas are applied: JSON bodies without surprises, null as absent, and numbers
 * of query strings exactly as written. Nothing is ever coerced.
 */
export function readRequestForms(app: FastifyInstance): void {
  const parseJson = app.getDefaultJsonParser('remove', 'remove')
  const utf8 = new TextDecoder('utf-8', { fatal: true })

  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    (request: FastifyRequest, body: Buffer, done) => {
      if (body.length === 0) return done(null, undefined)
      let text: string
      try {
        text = utf8.decode(body)
      } catch {
        return done(badRequest('the body is not UTF-8'))
      }
      parseJson(request, text, (error, value) => {
        done(error === null ? null : badRequest('the body is not JSON'), value)
      })
    },
  )

  app.addHook('preValidation', async (request, reply) => {
    request.body = withoutNulls(request.body)
    const { querystring } = request.routeOptions.schema ?? {}
    if (querystring === undefined) return
    const read = readQuery(request.query as Query, querystring as QuerySchema)
    if (!read.ok) return sendProblem(reply, read)
    request.query = read.query
  })
}

function badRequest(message: string): Error & { statusCode: number } {
  return Object.assign(new Error(message), { statusCode: 400 })
}

/** Null means absent, in the fields of a body. */
function withoutNulls(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return body
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
}

type Query = Readonly<Record<string, string | string[]>>
interface QuerySchema {
  properties: Readonly<Record<string, { type?: string }>>
}

const digits = /^(0|[1-9][0-9]{0,15})$/

/** Only the parameters that the schema names; integers are plain digits. */
function readQuery(
  query: Query,
  schema: QuerySchema,
): { ok: true; query: Record<string, unknown> } | Failure {
  const read: Record<string, unknown> = {}
  for (const [name, { type }] of Object.entries(schema.properties)) {
    const given = query[name]
    if (given === undefined) continue
    if (Array.isArray(given)) return failure('invalid', `${name} is given more than once`)
    if (type !== 'integer') read[name] = given
    else if (digits.test(given)) read[name] = Number(given)
    else return failure('invalid', `${name} must be an integer in plain digits`)
  }
  return { ok: true, query: read }
}
