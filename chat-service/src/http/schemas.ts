import { STATUS_CODES } from 'node:http'
import { conversationKinds, histories, roles } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { type TSchema, Type } from 'typebox'

/** What requests and answers hold: checked strictly, and written into the OpenAPI document with examples. */

export const idPattern = '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'

export const examples = {
  user: '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55',
  other: '01980c36-51aa-7d04-8f2e-6b0a94c3d218',
  conversation: '01980c37-0b7c-7f5d-a1c4-93e8d5b62f07',
  message: '01980c37-9e14-72b8-b6d9-4c51f0a7e833',
  session: '01980c36-4d31-7b90-8e57-a4d2c86f1b3a',
  at: 1_752_573_600_000,
  password: 'correct horse battery',
} as const

export const id = (description: string, example: string) =>
  Type.String({ pattern: idPattern, description, examples: [example] })

export const choice = <T extends string>(
  of: readonly T[],
  { example = of[0], ...more }: { description?: string; example?: T } = {},
) => Type.Unsafe<T>({ type: 'string', enum: [...of], examples: [example], ...more })

const time = (description: string) =>
  Type.Integer({
    description: `${description}, in milliseconds since 1970`,
    examples: [examples.at],
  })

export const userId = id('a user', examples.user)

export const user = Type.Object({
  id: userId,
  username: Type.String({ examples: ['ada'] }),
  displayName: Type.String({ examples: ['Ada Lovelace'] }),
})

export const refreshToken = Type.String({
  description: 'gives the next pair of tokens, once',
  examples: ['prt1.AZgMNk0xe5COV6TSyG8bOgAAAABd1JGMwHbCcEGbPDYvJTu7sO9Oc28CNsBQM98rKUE21w'],
})

export const signedIn = Type.Object({
  user,
  accessToken: Type.String({
    description: 'a JWT, for `Authorization: Bearer`',
    examples: ['eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIwMTk4MGMzNiJ9.c2lnbmF0dXJl'],
  }),
  refreshToken,
  expiresIn: Type.Integer({
    description: 'seconds until the access token expires',
    examples: [900],
  }),
})

export const session = Type.Object({
  id: id('a session', examples.session),
  device: Type.Optional(
    Type.String({ description: 'the User-Agent that logged in', examples: ['Phone/1'] }),
  ),
  createdAt: time('when it began'),
  usedAt: time('when it was last renewed'),
  expiresAt: time('when it ends unless renewed before'),
  current: Type.Boolean({ description: 'the one that asks', examples: [true] }),
})

export const messageBody = Type.Object(
  {
    text: Type.Optional(Type.String({ description: 'up to 8,000 UTF-16 code units' })),
    replyTo: Type.Optional(id('the message this answers', examples.message)),
    mentions: Type.Optional(Type.Array(userId, { maxItems: limits.mentions })),
    attachments: Type.Optional(
      Type.Array(id('an attachment', examples.message), { maxItems: limits.attachments }),
    ),
  },
  { description: 'something in it, up to 16 KiB as MessagePack', examples: [{ text: 'Hello!' }] },
)

export const message = Type.Object({
  id: id('the message', examples.message),
  seq: Type.Integer({ minimum: 1, examples: [2] }),
  sender: userId,
  at: time('when it was accepted'),
  body: Type.Optional(messageBody),
  editedAt: Type.Optional(time('when it was last edited')),
  deleted: Type.Optional(Type.Boolean()),
  reactions: Type.Array(
    Type.Object({
      emoji: Type.String({ examples: ['👍'] }),
      count: Type.Integer({ examples: [2] }),
      mine: Type.Boolean({ description: 'the one who asks is among them', examples: [true] }),
    }),
  ),
})

export const event = Type.Object(
  {
    type: choice(['event']),
    conversation: id('the conversation', examples.conversation),
    seq: Type.Integer({ minimum: 1, examples: [2] }),
    id: id('the event', examples.message),
    kind: Type.String({ examples: ['message'] }),
    sender: userId,
    at: time('when it was accepted'),
    body: Type.Optional(
      Type.Object({}, { description: 'as `kind` has it', examples: [{ text: 'Hello!' }] }),
    ),
    target: Type.Optional(
      Type.String({ pattern: idPattern, description: 'the message it is about' }),
    ),
  },
  { description: 'the `event` frame of the WebSocket protocol' },
)

const seen = {
  head: Type.Integer({ minimum: 0, description: 'the seq of the latest event', examples: [2] }),
  from: Type.Integer({
    minimum: 1,
    description: 'the first seq this member may see',
    examples: [1],
  }),
}
export const headAndFrom = seen

export const title = Type.Optional(Type.String({ examples: ['Engines'] }))
export const role = choice(roles, { example: 'admin' })
export const kind = choice(conversationKinds, { example: 'group' })
export const history = choice(histories, {
  description: 'whether later members see what was before them',
})
const heldRole = choice(roles, { description: 'of the one who asks' })
const next = Type.Optional(
  Type.String({ description: 'the `cursor` of the next page; absent on the last' }),
)

export const conversation = Type.Object({
  id: id('the conversation', examples.conversation),
  kind,
  title,
  history,
  ...seen,
  role: heldRole,
  memberCount: Type.Integer({ examples: [2] }),
  members: Type.Array(Type.Object({ user: userId, role }), {
    examples: [
      [
        { user: examples.user, role: 'owner' },
        { user: examples.other, role: 'member' },
      ],
    ],
  }),
  next,
})

export const conversationEntry = Type.Object({
  id: id('the conversation', examples.conversation),
  kind,
  title,
  ...seen,
  read: Type.Integer({ minimum: 0, description: 'how far one has read', examples: [1] }),
  unread: Type.Integer({
    minimum: 0,
    description: 'messages by others after `read`',
    examples: [1],
  }),
  role: heldRole,
  lastMessage: Type.Optional(message),
})

export const userPage = Type.Object({ users: Type.Array(user), next })
export const conversationPage = Type.Object({ conversations: Type.Array(conversationEntry), next })

export const problem = Type.Object(
  {
    type: Type.String({ examples: ['urn:parley:problem:not_found'] }),
    title: Type.String({ examples: ['Not found'] }),
    status: Type.Integer({ examples: [404] }),
    detail: Type.String({ examples: ['no such conversation'] }),
    code: Type.String({ examples: ['not_found'] }),
    retryAfterMs: Type.Optional(Type.Integer({ examples: [1_000] })),
  },
  { description: 'RFC 9457 problem details; `code` is one of the protocol’s error codes' },
)

export const limit = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: limits.pageEntries,
    default: limits.defaultPageEntries,
    description: 'entries wanted; a page may hold fewer, and at most 256 KiB',
  }),
)
export const cursor = Type.Optional(
  Type.String({ maxLength: 256, description: '`next` of the page before' }),
)
export const idParams = Type.Object({ id: id('the conversation', examples.conversation) })

/** The answers of a route: its own, and problems. */
export function answers<T extends Record<number, TSchema>>(own: T) {
  const refusal = {
    description: 'a problem',
    content: { 'application/problem+json': { schema: problem } },
  }
  const described = Object.entries(own).map(([status, schema]) => [
    status,
    { description: STATUS_CODES[status], ...schema },
  ])
  return { ...(Object.fromEntries(described) as T), '4xx': refusal, '5xx': refusal }
}

export const noContent = Type.Unsafe<undefined>({ type: 'null', description: 'done' })
