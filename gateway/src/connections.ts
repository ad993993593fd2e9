import type { CommandWriter } from '@parley/platform/command-writer/command-writer'
import type { Log as Logger } from '@parley/platform/process/logs'
import type { SendLimiter } from '@parley/platform/send-limiter/send-limiter'
import { codecFor, jsonFromMsgpack } from '@parley/proto/codec'
import { type CloseReason, closeCodes, failure } from '@parley/proto/errors'
import type { Ack, Hello, Subprotocol } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { answer, type Connection, createConnection } from './connection.ts'
import type { Directory } from './directory.ts'
import type { Ephemera } from './ephemera.ts'
import type { FanOut } from './fan-out.ts'
import type { Flusher } from './flusher.ts'
import type { GatewayMetrics } from './metrics.ts'
import { type Link, Outbound } from './outbound.ts'
import { Session } from './session.ts'
import { defaultSessionBounds, type SessionBounds } from './session-ports.ts'
import type { SessionReports } from './session-reports.ts'
import type { GatewayBounds, GatewaySettings } from './settings.ts'
import type { SocketHandlers } from './sockets.ts'
import { answerSync } from './sync.ts'
import type { TokenVerifier } from './tokens.ts'
import type { Users } from './users.ts'

export interface ConnectionsParts {
  config: GatewaySettings
  bounds: GatewayBounds
  connections: Set<Connection>
  flusher: Flusher
  fanOut: FanOut
  users: Users
  directory: Directory
  tokens: TokenVerifier
  writer: CommandWriter
  limiter: SendLimiter
  ephemera: Ephemera
  reports: SessionReports
  metrics: GatewayMetrics
  logger: Logger
  now: () => number
  authenticate: (connection: Connection, hello: Hello) => Promise<void>
  draining: () => boolean
}

/** Carries out what sessions want, and brings them what sockets say. */
export function createConnections(parts: ConnectionsParts): SocketHandlers<Connection> {
  const { config, connections, ephemera, reports, metrics, logger, now } = parts
  const sessionBounds: SessionBounds = {
    ...defaultSessionBounds,
    helloMs: parts.bounds.helloMs,
    frames: framesRate(config),
  }
  const outboundBounds = {
    eventBytes: config.wsReaderBacklogBytes,
    ephemeralBytes: parts.bounds.ephemeralBytes,
    answerBytes: parts.bounds.answerBytes,
    messageBytes: parts.bounds.messageBytes,
    lagMs: config.wsSlowReaderMs,
  }

  function open(link: Link, subprotocol: Subprotocol): Connection {
    const out = new Outbound({
      codec: codecFor(subprotocol),
      link,
      bounds: outboundBounds,
      outlet: parts.flusher,
      now,
      onSlow: () => session.tooSlow(),
      onWritten: metrics.written,
    })
    // The session's ports are called with frames only, so its connection is there by then.
    const session: Session = new Session(
      {
        send(frame) {
          if (frame.type === 'error') metrics.refused(frame.code)
          else metrics.answered(frame.type)
          answer(connection, frame)
        },
        close: (reason) => end(connection, reason),
        authenticate: (hello) => guarded(parts.authenticate(connection, hello)),
        verify(token, ref) {
          const verified = parts.tokens.verify(token).then((result) => {
            session.renewed(result, ref, now())
            if (session.identity !== null) connection.sessionId = session.identity.session
          })
          guarded(verified)
        },
        submit: (draft) =>
          parts.writer.submit(draft, (frame, bytes) => {
            if (frame.type === 'error') metrics.refused(frame.code)
            else metrics.answered(frame.type)
            if (!out.closed) out.answer(out.codec.binary ? bytes : jsonFromMsgpack(bytes))
            if (frame.type === 'ack') acked(connection, frame, draft.type === 'send')
            session.replied(draft.conversation, frame, now())
          }),
        sync: (request) => guarded(answerSync(parts.directory, connection, request)),
        read: (request) => guarded(ephemera.positions.read(connection, request)),
        typing: (request) => guarded(ephemera.typing.typed(connection, request)),
        watch: (request) => ephemera.watching.watch(connection, request),
      },
      sessionBounds,
      parts.limiter,
      now(),
    )
    const guarded = (work: Promise<void>) => {
      work.catch((error: unknown) => broken(connection, error))
    }
    const connection = createConnection(session, out)
    connections.add(connection)
    return connection
  }

  /** The conversation goes at least so far, and who sent a message has read up to it and types it no more. */
  function acked(connection: Connection, ack: Ack, message: boolean): void {
    const { conversation, seq } = ack
    const reader = connection.readers.get(conversation)
    reader?.room.rumour(seq)
    // A duplicate's place may lie before the user's present membership and its positions.
    if (!message || ack.duplicate === true) return
    if (reader !== undefined) reader.read = Math.max(reader.read, seq)
    ephemera.typing.sent(connection, conversation)
  }

  /** The socket's `closed` follows, from inside this call. */
  function end(connection: Connection, reason: CloseReason): void {
    const { code } = closeCodes[reason]
    metrics.closed(code)
    connection.out.end({ code, text: reason })
  }

  /** An invariant of ours failed for one connection: it is closed, and its neighbours don't notice. */
  function broken(connection: Connection, error: unknown): void {
    logger.error({ err: error }, 'a connection failed')
    connection.session.failed()
  }

  return {
    full() {
      if (parts.draining()) return 'this gateway is going away'
      const { wsMaxConnections } = config
      return connections.size < wsMaxConnections ? null : 'this gateway has too many connections'
    },
    refused: metrics.upgradeRefused,
    opened: open,
    originRefused({ session }) {
      const why = failure('forbidden', 'this origin may not connect')
      session.refuseMessage(why, 'originRefused')
    },
    message(connection, bytes, binary) {
      try {
        receive(connection, bytes, binary)
      } catch (error) {
        broken(connection, error)
      }
    },
    drained(connection) {
      if (connection.out.laggingSince !== null) parts.fanOut.recover()
    },
    closed(connection, code, lost) {
      const byUs = connection.out.closed
      if (!byUs) metrics.closed(code)
      connection.open = false
      connection.session.closed()
      connection.out.abandon()
      if (lost && !byUs) reports.lost(connection.id)
      else reports.closed(connection.id)
      ephemera.forget(connection)
      parts.fanOut.forget(connection)
      parts.users.detach(connection)
      connections.delete(connection)
    },
  }

  function receive(connection: Connection, bytes: Uint8Array, binary: boolean): void {
    const { session, out } = connection
    if (bytes.length > limits.frameBytes) {
      const why = `a message holds at most ${limits.frameBytes} bytes`
      session.refuseMessage(failure('too_large', why), 'tooLarge')
      return
    }
    if (binary !== out.codec.binary) {
      const why = `${out.codec.subprotocol} is ${out.codec.binary ? 'binary' : 'text'}`
      session.refuseMessage(failure('bad_frame', why), 'badFrame')
      return
    }
    const message = out.codec.decodeClientMessage(bytes)
    if (message.ok) {
      let active = false
      for (const one of message.frames) {
        const type = (one.ok ? one.frame.type : one.type) ?? 'unknown'
        metrics.frameIn(type)
        active ||= type !== 'ping'
      }
      if (active) reports.active(connection.id)
    }
    session.receive(message, bytes.length, now())
  }
}

/** Unless told, as many frames as 20 times what the user may send; without that limit, none here either. */
function framesRate(config: GatewaySettings) {
  const factor = 20
  const perSecond = config.wsFramesPerSecond ?? config.userMessagesPerSecond * factor
  return { perSecond, burst: Math.max(perSecond, config.userMessagesBurst * factor) }
}
