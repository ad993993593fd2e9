import { failure } from '@parley/proto/errors'
import type { FastifyInstance } from 'fastify'
import type { VerifiedToken } from '../accounts/access-tokens.ts'
import type { Accounts } from '../accounts/accounts.ts'
import { sendProblem } from './problems.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; on routes that need an access token, and only there. */
    caller: VerifiedToken
  }
  interface FastifyReply {
    /** The code of the problem that was answered. */
    refusal: string
  }
}

const bearer = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i

/** Every route registered in `app` from here on needs an access token; it is asked for before the body is read. */
export function requireCaller(app: FastifyInstance, accounts: Pick<Accounts, 'verifyAccessToken'>) {
  app.addHook('onRequest', async (request, reply) => {
    const token = bearer.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined) {
      return sendProblem(
        reply,
        failure('unauthenticated', 'an access token is needed: Authorization: Bearer …'),
      )
    }
    const verified = await accounts.verifyAccessToken(token)
    if (!verified.ok) return sendProblem(reply, verified)
    request.caller = verified
  })
  app.addHook('onRoute', (route) => {
    route.schema = { ...route.schema, security: [{ accessToken: [] }] }
  })
}
