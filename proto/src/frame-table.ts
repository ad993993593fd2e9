import { type ErrorCode, errors } from './errors.ts'
import {
  boolean,
  choice,
  clientId,
  data,
  eventBodyOf,
  events,
  type Field,
  type FieldKind,
  type FieldsOf,
  fieldList,
  id,
  ids,
  integer,
  messageBodyOf,
  optional,
  position,
  record,
  records,
  seq,
  seqs,
  string,
  text,
  time,
} from './field-types.ts'
import type * as F from './frames.ts'
import {
  conversationChanges,
  conversationKinds,
  eventKinds,
  presenceStates,
  roles,
} from './frames.ts'
import { limits } from './limits.ts'

/**
 * Every frame of protocol v1: its type code and its fields, in the order that MessagePack writes them. Both codecs
 * and all validation are driven by these two tables; a number or an order here never changes within v1.
 */

type Table<AnyFrame extends { type: string }> = {
  readonly [T in AnyFrame['type']]: {
    readonly code: number
    readonly fields: FieldsOf<Extract<AnyFrame, { type: T }>>
  }
}

const token = string(0, limits.tokenLength)
const ticket = string(0, limits.ticketLength)
const ref = string(0, limits.refLength)
const emoji = string(1, limits.emojiLength)
const title = string(1, limits.titleLength)

/** The fields stand in the one order that makes equal bodies equal bytes. */
export const messageBody = messageBodyOf<F.MessageBody>({
  text: optional(text(limits.textLength)),
  replyTo: optional(id),
  mentions: optional(ids(limits.mentions)),
  attachments: optional(ids(limits.attachments)),
})

const usersBody = record<F.UsersBody>({ users: ids(limits.commandMembers) })

/** The body of an event by its kind. */
export const eventBodies = {
  message: messageBody,
  edit: messageBody,
  delete: null,
  reaction: record<F.ReactionBody>({ emoji, remove: optional(boolean) }),
  created: record<F.CreatedBody>({
    kind: choice(conversationKinds),
    title: optional(title),
    /* Those named, and the one who made it. */
    users: ids(limits.commandMembers + 1),
  }),
  joined: usersBody,
  left: usersBody,
  role: record<F.RoleBody>({ user: id, role: choice(roles) }),
  updated: record<F.UpdatedBody>({ title }),
} as const satisfies Record<F.EventKind, FieldKind | null>

const client: Table<F.ClientFrame> = {
  hello: {
    code: 1,
    fields: {
      token,
      device: string(1, limits.deviceLength),
      resume: optional(seqs(limits.resumeConversations)),
      ticket: optional(ticket),
      client: optional(string(0, limits.clientLength)),
    },
  },
  send: {
    code: 2,
    fields: { id: clientId, conversation: id, body: messageBody, retry: optional(boolean) },
  },
  edit: {
    code: 3,
    fields: {
      id: clientId,
      conversation: id,
      target: id,
      body: messageBody,
      retry: optional(boolean),
    },
  },
  delete: {
    code: 4,
    fields: { id: clientId, conversation: id, target: id, retry: optional(boolean) },
  },
  react: {
    code: 5,
    fields: {
      id: clientId,
      conversation: id,
      target: id,
      emoji,
      remove: optional(boolean),
      retry: optional(boolean),
    },
  },
  read: { code: 6, fields: { conversation: id, seq, ref: optional(ref) } },
  typing: { code: 7, fields: { conversation: id, active: boolean, ref: optional(ref) } },
  sync: {
    code: 8,
    fields: {
      ref,
      conversation: id,
      after: position,
      limit: optional(integer(1, limits.pageEntries)),
    },
  },
  watch: { code: 9, fields: { users: ids(limits.watchedUsers), ref: optional(ref) } },
  ping: { code: 10, fields: { ref: optional(ref) } },
  auth: { code: 11, fields: { token, ref: optional(ref) } },
}

const server: Table<F.ServerFrame> = {
  welcome: {
    code: 64,
    fields: {
      user: id,
      session: id,
      time,
      limits: record<F.WelcomeLimits>({
        frameBytes: integer(1),
        bodyBytes: integer(1),
        textLength: integer(1),
        inFlight: integer(1),
        messagesPerSecond: integer(0),
        idleSeconds: integer(0),
      }),
      conversations: records<F.ConversationHead>(limits.welcomeConversations, {
        id,
        head: position,
        from: position,
        read: position,
      }),
      more: boolean,
      ticket: optional(ticket),
    },
  },
  ack: {
    code: 65,
    fields: { id, conversation: id, seq, at: time, duplicate: optional(boolean) },
  },
  error: {
    code: 66,
    fields: {
      code: choice(Object.keys(errors) as ErrorCode[]),
      message: string(0, limits.errorMessageLength),
      retryable: boolean,
      id: optional(id),
      ref: optional(ref),
      retryAfterMs: optional(integer(0)),
    },
  },
  event: {
    code: 67,
    fields: {
      conversation: id,
      seq,
      id,
      kind: choice(eventKinds),
      sender: id,
      at: time,
      body: optional(eventBodyOf<F.EventBody>(eventBodies)),
      target: optional(id),
    },
  },
  gap: { code: 68, fields: { conversation: id, head: position } },
  heads: { code: 69, fields: { heads: seqs(limits.headsConversations) } },
  synced: {
    code: 70,
    fields: {
      ref,
      conversation: id,
      events: events<F.Event>(limits.pageEntries),
      head: position,
      from: position,
      more: boolean,
    },
  },
  read: { code: 71, fields: { conversation: id, user: id, seq: position } },
  typing: { code: 72, fields: { conversation: id, user: id, active: boolean } },
  presence: {
    code: 73,
    fields: {
      users: records<F.Presence['users'][number]>(limits.watchedUsers, {
        id,
        state: choice(presenceStates),
        lastSeen: optional(time),
      }),
    },
  },
  conversation: {
    code: 74,
    fields: { change: choice(conversationChanges), conversation: id, info: optional(data) },
  },
  drain: { code: 75, fields: { reconnectAfterMs: integer(0) } },
  pong: { code: 76, fields: { ref: optional(ref), time } },
  ok: { code: 77, fields: { ref } },
}

export interface FrameRow {
  readonly type: string
  readonly code: number
  readonly fields: readonly Field[]
}

export const clientFrames: readonly FrameRow[] = rowsOf(client)
export const serverFrames: readonly FrameRow[] = rowsOf(server)
/** What stands in `synced`, and in every event log and fan-out. */
export const eventRow = serverFrames.find((row) => row.type === 'event') as FrameRow

function rowsOf(table: Record<string, { code: number; fields: object }>): FrameRow[] {
  return Object.entries(table).map(([type, { code, fields }]) => ({
    type,
    code,
    fields: fieldList(fields),
  }))
}
