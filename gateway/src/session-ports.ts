import type { CommandDraft } from '@parley/platform/command-writer/command-writer'
import type { Rate } from '@parley/platform/send-limiter/token-bucket'
import type { CloseReason, Failure } from '@parley/proto/errors'
import type { Hello, Read, ServerFrame, Sync, Typing, Watch } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'

/** What a session wants done; each call is carried out at once and in order. */
export interface SessionPorts {
  send(frame: ServerFrame): void
  /** Nothing is sent after this; what was sent before still goes out. */
  close(reason: CloseReason): void
  /** To be answered by `ready` or `rejected`. */
  authenticate(hello: Hello): void
  /** To be answered by `renewed`. */
  verify(token: string, ref: string | undefined): void
  /** Once ok, to be answered by `replied`. */
  submit(draft: CommandDraft): { ok: true } | Failure
  /** To be answered by `synced`. */
  sync(request: Sync): void
  read(request: Read): void
  typing(request: Typing): void
  watch(request: Watch): void
}

export interface SessionBounds {
  helloMs: number
  inFlight: number
  syncsInFlight: number
  /** What may wait while a hello is being looked into. */
  queuedFrames: number
  queuedBytes: number
  /** Conversations held back at once ([G5]). */
  refusals: number
  /** All frames of the connection, whatever they are; beyond, it is closed. */
  frames: Rate
  /** Beyond, `typing` is dropped, or refused where it has a `ref`. */
  typing: Rate
  /** Beyond, `watch` is refused. */
  watches: Rate
}

export const defaultSessionBounds: Omit<SessionBounds, 'frames'> = {
  helloMs: limits.helloMs,
  inFlight: limits.inFlight,
  syncsInFlight: 8,
  queuedFrames: 64,
  queuedBytes: 64 * 1024,
  refusals: 1_024,
  typing: { perSecond: 5, burst: 10 },
  watches: { perSecond: 2, burst: 10 },
}

/** What a verified token says; times are milliseconds since 1970. */
export interface Identity {
  user: string
  session: string
  expiresAt: number
}
