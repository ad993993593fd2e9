/** The frames of protocol v1 as these tests read and write them, from PROTOCOL.md alone. */

export type Subprotocol = 'parley.v1.json' | 'parley.v1.msgpack'
export const subprotocols: readonly Subprotocol[] = ['parley.v1.json', 'parley.v1.msgpack']

export interface ClientFrame {
  type: string
  [field: string]: unknown
}

export interface EventFrame {
  type: 'event'
  conversation: string
  seq: number
  id: string
  kind: string
  sender: string
  at: number
  body?: Record<string, unknown>
  target?: string
}

export interface ServerFrames {
  welcome: {
    type: 'welcome'
    user: string
    session: string
    time: number
    limits: Record<
      'frameBytes' | 'bodyBytes' | 'textLength' | 'inFlight' | 'messagesPerSecond' | 'idleSeconds',
      number
    >
    conversations: { id: string; head: number; from: number; read: number }[]
    more: boolean
    ticket?: string
  }
  ack: {
    type: 'ack'
    id: string
    conversation: string
    seq: number
    at: number
    duplicate?: boolean
  }
  error: {
    type: 'error'
    code: string
    message: string
    retryable: boolean
    id?: string
    ref?: string
    retryAfterMs?: number
  }
  event: EventFrame
  gap: { type: 'gap'; conversation: string; head: number }
  heads: { type: 'heads'; heads: Record<string, number> }
  synced: {
    type: 'synced'
    ref: string
    conversation: string
    events: EventFrame[]
    head: number
    from: number
    more: boolean
  }
  read: { type: 'read'; conversation: string; user: string; seq: number }
  typing: { type: 'typing'; conversation: string; user: string; active: boolean }
  presence: { type: 'presence'; users: { id: string; state: string; lastSeen?: number }[] }
  conversation: {
    type: 'conversation'
    change: 'added' | 'updated' | 'removed'
    conversation: string
    info?: Record<string, unknown>
  }
  drain: { type: 'drain'; reconnectAfterMs: number }
  pong: { type: 'pong'; ref?: string; time: number }
  ok: { type: 'ok'; ref: string }
}

export type ServerType = keyof ServerFrames
export type ServerFrame = ServerFrames[ServerType]
export type Ack = ServerFrames['ack']
export type ErrorFrame = ServerFrames['error']
export type Synced = ServerFrames['synced']
export type Welcome = ServerFrames['welcome']
