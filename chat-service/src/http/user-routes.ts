import { failure } from '@parley/proto/errors'
import { limits } from '@parley/proto/limits'
import { Type } from 'typebox'
import type { Accounts } from '../accounts/accounts.ts'
import type { HttpApp } from './http-app.ts'
import { sendProblem } from './problems.ts'
import { answers, examples, limit, noContent, user, userId, userPage } from './schemas.ts'

const noUser = failure('not_found', 'no such user')

export function mountUserRoutes(app: HttpApp, accounts: Accounts): void {
  const tags = ['users']
  const one = answers({ 200: user })

  app.get(
    '/v1/users/me',
    { schema: { tags, summary: 'Oneself', response: one } },
    async (request, reply) => {
      const found = await accounts.users.byId(request.caller.user)
      return found ?? sendProblem(reply, noUser)
    },
  )

  app.patch(
    '/v1/users/me',
    {
      schema: {
        tags,
        summary: 'Change one’s display name',
        body: Type.Object({
          displayName: Type.Optional(
            Type.String({ description: '1 to 128 characters', examples: ['Ada Lovelace'] }),
          ),
        }),
        response: one,
      },
    },
    async (request, reply) => {
      const { displayName } = request.body
      if (displayName !== undefined) {
        const renamed = await accounts.renameUser(request.caller.user, displayName)
        return renamed.ok ? renamed.user : sendProblem(reply, renamed)
      }
      const found = await accounts.users.byId(request.caller.user)
      return found ?? sendProblem(reply, noUser)
    },
  )

  app.put(
    '/v1/users/me/password',
    {
      schema: {
        tags,
        summary: 'Change one’s password',
        description: 'Every other session of the user ends, and its sockets close; this one stays.',
        body: Type.Object({
          currentPassword: Type.String({
            description: 'the present one',
            examples: [examples.password],
          }),
          password: Type.String({
            description: 'the new one, 8 to 256 characters',
            examples: ['battery staple correct'],
          }),
        }),
        response: answers({ 204: noContent }),
      },
    },
    async (request, reply) => {
      const changed = await accounts.changePassword(request.caller, request.body)
      return changed.ok ? reply.code(204).send() : sendProblem(reply, changed)
    },
  )

  app.get(
    '/v1/users/:id',
    {
      schema: {
        tags,
        summary: 'A user',
        params: Type.Object({ id: userId }),
        response: one,
      },
    },
    async (request, reply) => {
      const found = await accounts.users.byId(request.params.id)
      return found ?? sendProblem(reply, noUser)
    },
  )

  app.get(
    '/v1/users',
    {
      schema: {
        tags,
        summary: 'Users whose username or display name begins with `query`',
        querystring: Type.Object({
          query: Type.String({
            minLength: 1,
            maxLength: limits.displayNameLength,
            pattern: '^[^\\u0000]*$',
            examples: ['ad'],
          }),
          limit,
          cursor: Type.Optional(
            Type.String({
              pattern: `^[a-z0-9_.-]{1,${limits.usernameMaxLength}}$`,
              description: '`next` of the page before',
            }),
          ),
        }),
        response: answers({ 200: userPage }),
      },
    },
    async (request) => {
      const { query, limit: entries = limits.defaultPageEntries, cursor: after } = request.query
      return accounts.searchUsers(query, entries, after)
    },
  )
}
