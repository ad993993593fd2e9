import { Type } from 'typebox'
import type { ReadPositions } from '../conversations/read-positions.ts'
import type { HttpApp } from './http-app.ts'
import { sendProblem } from './problems.ts'
import { answers, idParams, noContent } from './schemas.ts'

export function mountReadRoutes(app: HttpApp, positions: ReadPositions): void {
  app.put(
    '/v1/conversations/:id/read',
    {
      schema: {
        tags: ['conversations'],
        summary: 'Say how far one has read',
        description:
          'Moves one’s position forward, never back; beyond the head it counts as the head. Answered once reads show it.',
        params: idParams,
        body: Type.Object({
          seq: Type.Integer({
            minimum: 1,
            maximum: Number.MAX_SAFE_INTEGER,
            description: 'the last event read',
            examples: [2],
          }),
        }),
        response: answers({ 204: noContent }),
      },
    },
    async (request, reply) => {
      const who = { user: request.caller.user, conversation: request.params.id }
      const read = await positions.advance(who, request.body.seq)
      return read.ok ? reply.code(204).send() : sendProblem(reply, read)
    },
  )
}
