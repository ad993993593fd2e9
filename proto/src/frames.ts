import type { ErrorCode } from './errors.ts'

/**
 * The frames of protocol v1 as programs handle them: ids are strings, absent fields are left out.
 * Their order of fields, type codes and limits stand in `frame-table.ts`; SPEC.md has them in words.
 */

export const subprotocols = ['parley.v1.msgpack', 'parley.v1.json'] as const
export type Subprotocol = (typeof subprotocols)[number]

/** What a message or an edit says. At least one of the fields is there and not empty. */
export interface MessageBody {
  text?: string
  /** The id of the message this answers. */
  replyTo?: string
  /** Users, by id. */
  mentions?: string[]
  /** Attachments, by id. */
  attachments?: string[]
}

export const conversationKinds = ['direct', 'group', 'channel'] as const
export type ConversationKind = (typeof conversationKinds)[number]
export const roles = ['owner', 'admin', 'member'] as const
export type Role = (typeof roles)[number]
export const histories = ['all', 'joined'] as const
export type History = (typeof histories)[number]

export interface Hello {
  type: 'hello'
  token: string
  device: string
  /** The last seq that the client holds of each conversation. */
  resume?: Record<string, number>
  ticket?: string
  client?: string
}
export interface Send {
  type: 'send'
  id: string
  conversation: string
  body: MessageBody
  retry?: boolean
}
export interface Edit {
  type: 'edit'
  id: string
  conversation: string
  target: string
  body: MessageBody
  retry?: boolean
}
export interface Delete {
  type: 'delete'
  id: string
  conversation: string
  target: string
  retry?: boolean
}
export interface React {
  type: 'react'
  id: string
  conversation: string
  target: string
  emoji: string
  remove?: boolean
  retry?: boolean
}
export interface Read {
  type: 'read'
  conversation: string
  seq: number
  ref?: string
}
export interface Typing {
  type: 'typing'
  conversation: string
  active: boolean
  ref?: string
}
export interface Sync {
  type: 'sync'
  ref: string
  conversation: string
  after: number
  limit?: number
}
export interface Watch {
  type: 'watch'
  users: string[]
  ref?: string
}
export interface Ping {
  type: 'ping'
  ref?: string
}
export interface Auth {
  type: 'auth'
  token: string
  ref?: string
}

export type ClientFrame =
  | Hello
  | Send
  | Edit
  | Delete
  | React
  | Read
  | Typing
  | Sync
  | Watch
  | Ping
  | Auth

export interface WelcomeLimits {
  frameBytes: number
  bodyBytes: number
  textLength: number
  inFlight: number
  messagesPerSecond: number
  idleSeconds: number
}
export interface ConversationHead {
  id: string
  head: number
  /** The first seq this member may see. */
  from: number
  /** How far this user has read. */
  read: number
}
export interface Welcome {
  type: 'welcome'
  user: string
  session: string
  /** Milliseconds since 1970. */
  time: number
  limits: WelcomeLimits
  conversations: ConversationHead[]
  more: boolean
  ticket?: string
}
export interface Ack {
  type: 'ack'
  id: string
  conversation: string
  seq: number
  at: number
  duplicate?: boolean
}
export interface ErrorFrame {
  type: 'error'
  code: ErrorCode
  message: string
  retryable: boolean
  id?: string
  ref?: string
  retryAfterMs?: number
}

export const eventKinds = [
  'message',
  'edit',
  'delete',
  'reaction',
  'created',
  'joined',
  'left',
  'role',
  'updated',
] as const
export type EventKind = (typeof eventKinds)[number]

export interface ReactionBody {
  emoji: string
  remove?: boolean
}
export interface CreatedBody {
  kind: ConversationKind
  title?: string
  users: string[]
}
export interface UsersBody {
  users: string[]
}
export interface RoleBody {
  user: string
  role: Role
}
export interface UpdatedBody {
  title: string
}
export type EventBody =
  | MessageBody
  | ReactionBody
  | CreatedBody
  | UsersBody
  | RoleBody
  | UpdatedBody

export interface Event {
  type: 'event'
  conversation: string
  seq: number
  id: string
  kind: EventKind
  sender: string
  /** Milliseconds since 1970; never decreases with `seq`. */
  at: number
  /** As `kind` has it; none for `delete`, and none once the message was deleted. */
  body?: EventBody
  target?: string
}
export interface Gap {
  type: 'gap'
  conversation: string
  head: number
}
export interface Heads {
  type: 'heads'
  heads: Record<string, number>
}
export interface Synced {
  type: 'synced'
  ref: string
  conversation: string
  events: Event[]
  head: number
  from: number
  more: boolean
}
export interface ReadPosition {
  type: 'read'
  conversation: string
  user: string
  seq: number
}
export interface TypingNotice {
  type: 'typing'
  conversation: string
  user: string
  active: boolean
}
export const presenceStates = ['online', 'away', 'offline'] as const
export type PresenceState = (typeof presenceStates)[number]
export interface Presence {
  type: 'presence'
  users: { id: string; state: PresenceState; lastSeen?: number }[]
}
export const conversationChanges = ['added', 'updated', 'removed'] as const
export interface ConversationNotice {
  type: 'conversation'
  change: (typeof conversationChanges)[number]
  conversation: string
  /** The conversation as REST has it. */
  info?: Record<string, unknown>
}
export interface Drain {
  type: 'drain'
  reconnectAfterMs: number
}
export interface Pong {
  type: 'pong'
  ref?: string
  time: number
}
export interface Ok {
  type: 'ok'
  ref: string
}

export type ServerFrame =
  | Welcome
  | Ack
  | ErrorFrame
  | Event
  | Gap
  | Heads
  | Synced
  | ReadPosition
  | TypingNotice
  | Presence
  | ConversationNotice
  | Drain
  | Pong
  | Ok
