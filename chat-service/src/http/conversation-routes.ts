import type { Database } from '@parley/platform/ports/database'
import { failure } from '@parley/proto/errors'
import { isId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { Type } from 'typebox'
import type { Changes } from '../conversations/changes.ts'
import { readConversation } from '../conversations/conversation-info.ts'
import { formatPlace, listConversations, parsePlace } from '../conversations/conversation-list.ts'
import type { HttpApp } from './http-app.ts'
import { cutToPage, pageText } from './json-pages.ts'
import { sendProblem } from './problems.ts'
import {
  answers,
  conversation,
  conversationPage,
  cursor,
  examples,
  history,
  id,
  idParams,
  kind,
  limit,
  title,
  userId,
} from './schemas.ts'

const badCursor = failure('invalid', 'cursor must be `next` of a page before')
const tags = ['conversations']
const one = Type.Object({ conversation })

export function mountConversationRoutes(
  app: HttpApp,
  { changes, database }: { changes: Changes; database: Database },
): void {
  app.post(
    '/v1/conversations',
    {
      schema: {
        tags,
        summary: 'Make a conversation',
        description:
          'Answered once reads show it. A direct conversation is the same for its two users, whoever makes it.',
        body: Type.Object({
          id: Type.Optional(id('made by the client, version 7', examples.conversation)),
          kind,
          members: Type.Array(userId, {
            maxItems: limits.commandMembers,
            description: 'users; the caller is a member, named or not',
            examples: [[examples.other]],
          }),
          title,
          history: Type.Optional(history),
        }),
        response: answers({ 200: one, 201: one }),
      },
    },
    async (request, reply) => {
      const made = await changes.create(request.caller.user, request.body)
      if (!made.ok) return sendProblem(reply, made)
      return reply.code(made.created ? 201 : 200).send({ conversation: made.conversation })
    },
  )

  app.get(
    '/v1/conversations',
    {
      schema: {
        tags,
        summary: 'One’s conversations, the latest event first',
        querystring: Type.Object({ limit, cursor }),
        response: answers({ 200: conversationPage }),
      },
    },
    async (request, reply) => {
      const { limit: entries = limits.defaultPageEntries, cursor: given } = request.query
      const after = given === undefined ? undefined : parsePlace(given)
      if (given !== undefined && after === undefined) return sendProblem(reply, badCursor)
      const { user } = request.caller
      const page = await listConversations(
        database,
        after === undefined ? { user, limit: entries } : { user, limit: entries, after },
      )
      const texts = cutToPage(page.conversations.map(({ entry }) => entry))
      const last = page.conversations[texts.length - 1]
      const more = page.more || texts.length < page.conversations.length
      const rest = more && last ? { next: formatPlace(last.place) } : {}
      reply.type('application/json; charset=utf-8')
      return reply.send(pageText('conversations', texts, rest) as never)
    },
  )

  app.get(
    '/v1/conversations/:id',
    {
      schema: {
        tags,
        summary: 'A conversation and its members',
        params: idParams,
        querystring: Type.Object({
          limit: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: limits.pageEntries,
              default: limits.pageEntries,
              description: 'members wanted',
            }),
          ),
          cursor,
        }),
        response: answers({ 200: one }),
      },
    },
    async (request, reply) => {
      const { limit: members = limits.pageEntries, cursor: after } = request.query
      if (after !== undefined && !isId(after)) return sendProblem(reply, badCursor)
      const wanted = {
        user: request.caller.user,
        conversation: request.params.id,
        limit: members,
      }
      const read = await readConversation(
        database,
        after === undefined ? wanted : { ...wanted, after },
      )
      return read.ok ? { conversation: read.conversation } : sendProblem(reply, read)
    },
  )

  app.patch(
    '/v1/conversations/:id',
    {
      schema: {
        tags,
        summary: 'Change the title',
        params: idParams,
        body: Type.Object({ title: Type.String({ examples: ['Engines'] }) }),
        response: answers({ 200: one }),
      },
    },
    async (request, reply) => {
      const scope = { sender: request.caller.user, conversation: request.params.id }
      const changed = await changes.setTitle(scope, request.body.title)
      return changed.ok ? { conversation: changed.conversation } : sendProblem(reply, changed)
    },
  )
}
