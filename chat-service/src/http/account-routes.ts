import { limits } from '@parley/proto/limits'
import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { Accounts, SignedIn } from '../accounts/accounts.ts'
import type { HttpApp } from './http-app.ts'
import { sendProblem } from './problems.ts'
import { answers, examples, id, noContent, refreshToken, session, signedIn } from './schemas.ts'

/** The User-Agent, as the name of a device. */
const deviceLength = 128

const publicKey = {
  kty: 'OKP',
  crv: 'Ed25519',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
  kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
  alg: 'EdDSA',
  use: 'sig',
}

/** Routes by which one comes to have an access token; they need none. */
export function mountSignInRoutes(app: HttpApp, accounts: Accounts): void {
  const tags = ['accounts']
  const password = (description: string) =>
    Type.String({ description, examples: [examples.password] })

  app.post(
    '/v1/auth/register',
    {
      schema: {
        tags,
        summary: 'Become a user',
        body: Type.Object({
          username: Type.String({
            description: `${limits.usernameMinLength} to ${limits.usernameMaxLength} of a-z 0-9 _ . -`,
            examples: ['ada'],
          }),
          password: password('8 to 256 characters'),
          displayName: Type.Optional(
            Type.String({ description: '1 to 128 characters', examples: ['Ada Lovelace'] }),
          ),
          invite: Type.Optional(
            Type.String({ description: 'asked for where registration is by invitation' }),
          ),
        }),
        response: answers({ 201: signedIn }),
      },
    },
    async (request, reply) => {
      const result = await accounts.register(request.body, deviceOf(request))
      return result.ok ? reply.code(201).send(answerOf(result)) : sendProblem(reply, result)
    },
  )

  app.post(
    '/v1/auth/login',
    {
      schema: {
        tags,
        summary: 'Begin a session',
        body: Type.Object({
          username: Type.String({ examples: ['ada'] }),
          password: password('the password'),
        }),
        response: answers({ 200: signedIn }),
      },
    },
    async (request, reply) => {
      const result = await accounts.login(request.body, deviceOf(request))
      return result.ok ? reply.send(answerOf(result)) : sendProblem(reply, result)
    },
  )

  app.post(
    '/v1/auth/refresh',
    {
      schema: {
        tags,
        summary: 'Renew a session',
        description:
          'The token just used gives its successor again for 30 s while that is unused; any older one ends the session.',
        body: Type.Object({ refreshToken }),
        response: answers({ 200: signedIn }),
      },
    },
    async (request, reply) => {
      const result = await accounts.refresh(request.body.refreshToken)
      return result.ok ? reply.send(answerOf(result)) : sendProblem(reply, result)
    },
  )

  app.get(
    '/.well-known/jwks.json',
    {
      schema: {
        tags,
        summary: 'The public keys that verify access tokens',
        response: answers({
          200: Type.Object({
            keys: Type.Array(
              Type.Object({}, { additionalProperties: true, examples: [publicKey] }),
            ),
          }),
        }),
      },
    },
    async (_request, reply) => {
      /* A key is here an hour before it signs, so a copy of 5 minutes never lacks one. */
      reply.header('cache-control', 'public, max-age=300').type('application/json; charset=utf-8')
      return reply.send((await accounts.jwks()) as never)
    },
  )
}

/** One's own sessions. */
export function mountSessionRoutes(app: HttpApp, accounts: Accounts): void {
  const tags = ['accounts']

  app.post(
    '/v1/auth/logout',
    { schema: { tags, summary: 'End this session', response: answers({ 204: noContent }) } },
    async (request, reply) => {
      const { user, session } = request.caller
      await accounts.endSession(user, session)
      return reply.code(204).send()
    },
  )

  app.get(
    '/v1/sessions',
    {
      schema: {
        tags,
        summary: 'One’s sessions, the last used first',
        response: answers({ 200: Type.Object({ sessions: Type.Array(session) }) }),
      },
    },
    async (request) => ({
      sessions: await accounts.listSessions(request.caller.user, request.caller.session),
    }),
  )

  app.delete(
    '/v1/sessions/:id',
    {
      schema: {
        tags,
        summary: 'End one of one’s sessions',
        params: Type.Object({ id: id('the session', examples.session) }),
        response: answers({ 204: noContent }),
      },
    },
    async (request, reply) => {
      const result = await accounts.endSession(request.caller.user, request.params.id)
      return result.ok ? reply.code(204).send() : sendProblem(reply, result)
    },
  )
}

function answerOf({ user, accessToken, refreshToken, expiresIn }: SignedIn) {
  return { user, accessToken, refreshToken, expiresIn }
}

function deviceOf(request: FastifyRequest): string | undefined {
  const agent = request.headers['user-agent']?.replace(/\p{Cc}/gu, '').slice(0, deviceLength)
  return agent === '' ? undefined : agent
}
