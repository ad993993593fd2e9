import { limits } from '@parley/proto/limits'
import { Type } from 'typebox'
import type { Changes } from '../conversations/changes.ts'
import type { HttpApp } from './http-app.ts'
import { sendProblem } from './problems.ts'
import {
  answers,
  conversation,
  examples,
  id,
  idParams,
  noContent,
  role,
  userId,
} from './schemas.ts'

const tags = ['members']
const memberParams = Type.Object({
  id: id('the conversation', examples.conversation),
  userId,
})

/** Changes of who belongs to a conversation; each is answered once reads show it. */
export function mountMemberRoutes(app: HttpApp, changes: Changes): void {
  const response = answers({ 200: Type.Object({ conversation }) })

  app.post(
    '/v1/conversations/:id/members',
    {
      schema: {
        tags,
        summary: 'Add members',
        params: idParams,
        body: Type.Object({
          id: Type.Optional(id('made by the client, so that it may retry', examples.message)),
          members: Type.Array(userId, {
            minItems: 1,
            maxItems: limits.commandMembers,
            examples: [[examples.other]],
          }),
        }),
        response,
      },
    },
    async (request, reply) => {
      const scope = { sender: request.caller.user, conversation: request.params.id }
      const changed = await changes.addMembers(scope, request.body)
      return changed.ok ? { conversation: changed.conversation } : sendProblem(reply, changed)
    },
  )

  app.delete(
    '/v1/conversations/:id/members/:userId',
    {
      schema: {
        tags,
        summary: 'Leave, or remove a member',
        params: memberParams,
        response: answers({ 204: noContent }),
      },
    },
    async (request, reply) => {
      const scope = { sender: request.caller.user, conversation: request.params.id }
      const removed = await changes.removeMember(scope, request.params.userId)
      return removed.ok ? reply.code(204).send() : sendProblem(reply, removed)
    },
  )

  app.patch(
    '/v1/conversations/:id/members/:userId',
    {
      schema: {
        tags,
        summary: 'Change a member’s role',
        params: memberParams,
        body: Type.Object({ role }),
        response,
      },
    },
    async (request, reply) => {
      const scope = { sender: request.caller.user, conversation: request.params.id }
      const { userId: member } = request.params
      const changed = await changes.setRole(scope, member, request.body.role)
      return changed.ok ? { conversation: changed.conversation } : sendProblem(reply, changed)
    },
  )
}
