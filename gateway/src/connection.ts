import type { UserNotice } from '@parley/proto/fan-out'
import type { ServerFrame } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import type { Outbound } from './outbound.ts'
import type { Reader } from './reader.ts'
import type { Session } from './session.ts'

/** One socket and what belongs to it. */
export interface Connection {
  /** Its own: a session may have several connections over time. */
  readonly id: string
  readonly out: Outbound
  readonly session: Session
  open: boolean
  /** Set once the user's own channel is heard for it. */
  user: string | null
  /** The session of the last token found good. */
  sessionId: string | null
  /** `welcome` has been sent; before, notices wait in `notices`. */
  bound: boolean
  readonly notices: UserNotice[]
  /** By conversation. */
  readonly readers: Map<string, Reader<Connection>>
  /** Readers that must be told of withheld events once the link carries them. */
  readonly owed: Set<Reader<Connection>>
}

export function createConnection(session: Session, out: Outbound): Connection {
  return {
    id: newId(),
    out,
    session,
    open: true,
    user: null,
    sessionId: null,
    bound: false,
    notices: [],
    readers: new Map(),
    owed: new Set(),
  }
}

export function answer(connection: Connection, frame: ServerFrame): void {
  const { out } = connection
  if (!out.closed) out.answer(out.codec.encodeServerFrame(frame))
}
