import { formatEvent, type RawEvent } from '@parley/proto/event-frame'
import type { EventBody } from '@parley/proto/frames'

/** The tables that storage-worker writes, in a form that compares: ids as strings, bytes as hex, bodies decoded. */
export interface Tables {
  conversations: Map<string, ConversationRow>
  /** By conversation and user. */
  members: Map<string, MemberRow>
  /** By conversation and seq. */
  messages: Map<string, MessageRow>
  /** The reaction's seq, by conversation, seq of the message, user and emoji. */
  reactions: Map<string, number>
  /** By conversation, seq of the message and emoji. */
  totals: Map<string, { count: number; firstSeq: number }>
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
  /** A message's last edit; null when there was none, or it was deleted. */
  edited: { at: number; body: EventBody } | null
  /** Of a message: the seq of its delete. */
  deletedSeq: number | null
}

export function emptyTables(): Tables {
  return {
    conversations: new Map(),
    members: new Map(),
    messages: new Map(),
    reactions: new Map(),
    totals: new Map(),
  }
}

export function keyOf(conversation: string, ...parts: (string | number)[]): string {
  return [conversation, ...parts].join('/')
}

/** The totals as they follow from the reactions. */
export function totalsOf(reactions: Tables['reactions']): Tables['totals'] {
  const totals: Tables['totals'] = new Map()
  for (const [key, seq] of reactions) {
    const [conversation = '', message = '', , emoji = ''] = key.split('/')
    const at = keyOf(conversation, message, emoji)
    const { count, firstSeq } = totals.get(at) ?? { count: 0, firstSeq: seq }
    totals.set(at, { count: count + 1, firstSeq: Math.min(firstSeq, seq) })
  }
  return totals
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
    edited: null,
    deletedSeq: null,
  }
}
