import type { ErrorCode } from './errors.ts'
import type { ConversationKind, Event, History, MessageBody, Role, Subprotocol } from './frames.ts'

/**
 * What REST answers with, as SPEC.md [H] has it. Times are milliseconds since 1970; absent fields are left out; `next`
 * is the `cursor` of the following page and absent on the last.
 */

export interface User {
  id: string
  username: string
  displayName: string
}

/** Of register, login and refresh. */
export interface SignedIn {
  user: User
  accessToken: string
  refreshToken: string
  /** Seconds until the access token expires. */
  expiresIn: number
}

/** One device's login. */
export interface SessionEntry {
  id: string
  /** The User-Agent that logged in. */
  device?: string
  createdAt: number
  usedAt: number
  /** When it ends unless renewed before. */
  expiresAt: number
  /** The one that asks. */
  current: boolean
}

export interface UserPage {
  users: User[]
  next?: string
}

export interface GatewayUrls {
  urls: string[]
  protocols: Subprotocol[]
}

/** A conversation in one's list. */
export interface ConversationSummary {
  id: string
  kind: ConversationKind
  title?: string
  head: number
  /** The first seq this member may see. */
  from: number
  /** How far this member has read. */
  read: number
  /** Messages by others after `read`. */
  unread: number
  role: Role
  /** The latest one this member may see. */
  lastMessage?: Message
}

/** Latest event first. */
export interface ConversationPage {
  conversations: ConversationSummary[]
  next?: string
}

export interface Member {
  /** A user's id. */
  user: string
  role: Role
}

/** A conversation with a page of its members; also `info` of the `conversation` frame. */
export interface ConversationDetail {
  id: string
  kind: ConversationKind
  title?: string
  history: History
  head: number
  from: number
  role: Role
  memberCount: number
  members: Member[]
  next?: string
}

export interface Reaction {
  emoji: string
  count: number
  /** The one who asks is among them. */
  mine: boolean
}

/** A message in its present state. */
export interface Message {
  id: string
  seq: number
  sender: string
  at: number
  /** Absent once deleted. */
  body?: MessageBody
  editedAt?: number
  deleted?: boolean
  reactions: Reaction[]
}

/** Newest first; `more` is never true without messages. */
export interface MessagePage {
  messages: Message[]
  more: boolean
}

/** Ascending by seq, each as the `event` frame in JSON; `more` is never true without events. */
export interface EventPage {
  events: Event[]
  head: number
  from: number
  more: boolean
}

/** Of a message sent over REST: what `ack` says. */
export interface Sent {
  id: string
  seq: number
  at: number
  duplicate?: boolean
}

/** RFC 9457, `application/problem+json`. */
export interface ProblemDetails {
  /** `urn:parley:problem:` and the code. */
  type: string
  title: string
  status: number
  detail: string
  code: ErrorCode
  /** When the same request may be sent again. */
  retryAfterMs?: number
}
