import type { Database } from '@parley/platform/ports/database'
import { failure } from '@parley/proto/errors'
import { formatEvent } from '@parley/proto/event-frame'
import { readers, readObjectFrame } from '@parley/proto/frame-reader'
import type { Send } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { Type } from 'typebox'
import type { Changes } from '../conversations/changes.ts'
import { readEvents } from '../conversations/event-pages.ts'
import { readMessages } from '../conversations/message-pages.ts'
import type { HttpApp } from './http-app.ts'
import { cutToPage, pageText } from './json-pages.ts'
import { sendProblem } from './problems.ts'
import {
  answers,
  event,
  examples,
  headAndFrom,
  id,
  idParams,
  limit,
  message,
  messageBody,
} from './schemas.ts'

const tags = ['messages']
const more = Type.Boolean({ description: 'there are further ones' })
const jsonType = 'application/json; charset=utf-8'

export function mountHistoryRoutes(
  app: HttpApp,
  { changes, database }: { changes: Changes; database: Database },
): void {
  app.post(
    '/v1/conversations/:id/messages',
    {
      /* Id, conversation and body are read as the frame's, by its rules; the schema is for the document. */
      validatorCompiler: () => () => true,
      schema: {
        tags,
        summary: 'Send a message',
        description:
          'The same path and guarantees as the `send` frame; send again with the same id.',
        params: idParams,
        body: Type.Object({
          id: id('made by the client, version 7', examples.message),
          body: messageBody,
        }),
        response: answers({
          200: Type.Object({
            id: id('the message', examples.message),
            seq: Type.Integer({ examples: [2] }),
            at: Type.Integer({ examples: [examples.at] }),
            duplicate: Type.Optional(
              Type.Boolean({ description: 'the id was accepted before: this is its first place' }),
            ),
          }),
        }),
      },
    },
    async (request, reply) => {
      const conversation = request.params.id
      const read = readSend(conversation, request.body)
      if (!read.ok) return sendProblem(reply, failure(read.code, read.message))
      const { id: messageId, body } = read.frame
      const scope = { sender: request.caller.user, conversation }
      const accepted = await changes.send(scope, { id: messageId, body })
      if (!accepted.ok) return sendProblem(reply, accepted)
      const { seq, at, duplicate } = accepted
      return duplicate ? { id: messageId, seq, at, duplicate } : { id: messageId, seq, at }
    },
  )

  app.get(
    '/v1/conversations/:id/events',
    {
      schema: {
        tags,
        summary: 'Events, ascending',
        params: idParams,
        querystring: Type.Object({
          after: Type.Optional(
            Type.Integer({
              minimum: 0,
              maximum: Number.MAX_SAFE_INTEGER,
              default: 0,
              description: 'events with a greater seq are wanted',
            }),
          ),
          limit,
        }),
        response: answers({
          200: Type.Object({ events: Type.Array(event), ...headAndFrom, more }),
        }),
      },
    },
    async (request, reply) => {
      const { after = 0, limit: entries = limits.defaultPageEntries } = request.query
      const page = await readEvents(database, {
        user: request.caller.user,
        conversation: request.params.id,
        after,
        limit: entries,
      })
      if (!page.ok) return sendProblem(reply, page)
      const texts = cutToPage(page.events.map(formatEvent))
      const rest = {
        head: page.head,
        from: page.from,
        more: page.more || texts.length < page.events.length,
      }
      return reply.type(jsonType).send(pageText('events', texts, rest) as never)
    },
  )

  app.get(
    '/v1/conversations/:id/messages',
    {
      schema: {
        tags,
        summary: 'Messages in their present state, newest first',
        params: idParams,
        querystring: Type.Object({
          before: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: Number.MAX_SAFE_INTEGER,
              description: 'messages with a smaller seq are wanted; the latest without it',
            }),
          ),
          limit,
        }),
        response: answers({ 200: Type.Object({ messages: Type.Array(message), more }) }),
      },
    },
    async (request, reply) => {
      const { before, limit: entries = limits.defaultPageEntries } = request.query
      const wanted = {
        user: request.caller.user,
        conversation: request.params.id,
        limit: entries,
      }
      const page = await readMessages(
        database,
        before === undefined ? wanted : { ...wanted, before },
      )
      if (!page.ok) return sendProblem(reply, page)
      const texts = cutToPage(page.messages)
      const rest = { more: page.more || texts.length < page.messages.length }
      return reply.type(jsonType).send(pageText('messages', texts, rest) as never)
    },
  )
}

/** The rules of `send`, its words, and its limits. */
function readSend(conversation: string, body: unknown) {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return failure('invalid', 'the body must be an object')
  }
  const { id: messageId, body: messageBody } = body as { id?: unknown; body?: unknown }
  return readObjectFrame<Send>(readers.client.json, {
    type: 'send',
    id: messageId,
    conversation,
    body: messageBody,
  })
}
