import { formatEvent, type RawEvent } from '@parley/proto/event-frame'
import type { EventBody } from '@parley/proto/frames'

/** The tables that storage-worker writes, in a form that compares: ids as strings, bytes as hex, bodies decoded. */
export interface Tables {
  conversations: Map<string, ConversationRow>
  /** By conversation and user. */
  members: Map<string, MemberRow>
  /** By conversation and seq. */
  messages: Map<string, MessageRow>
}

export interface ConversationRow {
  kind: string
  title: string | null
  history: string
  head: number
  lastAt: number
  lastPosition: [epoch: number, offset: number, index: number]
  createdAt: number
  createdHash: string
  memberCount: number
}

export interface MemberRow {
  role: string
  from: number
  joined: number
  read: number
}

export interface MessageRow {
  id: string
  kind: string
  sender: string
  at: number
  target: string | null
  body: EventBody | null
  hash: string
  position: [epoch: number, offset: number, index: number]
}

export function emptyTables(): Tables {
  return { conversations: new Map(), members: new Map(), messages: new Map() }
}

export function keyOf(conversation: string, part: string | number): string {
  return `${conversation}/${part}`
}

export interface Placed {
  event: RawEvent
  hash: Uint8Array
  position: [epoch: number, offset: number, index: number]
}

export function messageRow({ event, hash, position }: Placed): MessageRow {
  const { id, kind, sender, at, target, body } = formatEvent(event)
  return {
    id,
    kind,
    sender,
    at,
    target: target ?? null,
    body: body ?? null,
    hash: Buffer.from(hash).toString('hex'),
    position,
  }
}
