import swagger from '@fastify/swagger'
import { completeExamples, type Document } from './http-api-examples.ts'
import type { HttpApp } from './http-app.ts'
import { examples } from './schemas.ts'

const description = `Accounts, conversations and history; live delivery is on the WebSocket.

Every refusal is a problem (RFC 9457) with one of the protocol's error codes. Answers that may be tried again come with
\`Retry-After\`.

The examples can be sent as they are once what they name is there: \`${examples.user}\` stands for the one who asks,
\`${examples.other}\` for another user, \`${examples.conversation}\` for a conversation of both, \`${examples.message}\` for a
message in it, \`${examples.session}\` for a session of the one who asks. \`id\` in a request's body is made by whoever sends it,
a new version 7 UUID for each thing, the same again for a retry.`

const tags = [
  { name: 'accounts', description: 'Become a user, begin and end sessions' },
  { name: 'users', description: 'Oneself and others' },
  { name: 'gateway', description: 'Where live delivery is' },
  { name: 'conversations', description: 'Make, list and read conversations' },
  { name: 'members', description: 'Who belongs to a conversation' },
  { name: 'messages', description: 'Send, and read history' },
]

/** `GET /openapi.json`, of all routes that are mounted after this. */
export async function describeApi(app: HttpApp): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Parley', version: '1', description },
      tags,
      components: {
        securitySchemes: {
          accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
        },
      },
    },
    transformObject(made) {
      if (!('openapiObject' in made)) throw new Error('the document is no OpenAPI 3')
      completeExamples(made.openapiObject as unknown as Document)
      return made.openapiObject
    },
  })
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger() as never)
}
