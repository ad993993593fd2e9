import {
  App,
  type HttpRequest,
  type HttpResponse,
  type us_listen_socket,
  us_listen_socket_close,
  type us_socket_context_t,
  us_socket_local_port,
  type WebSocket,
} from 'uWebSockets.js'
import { StartError } from '@parley/platform/process/start-error'
import { type Subprotocol, subprotocols } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import type { Link } from './outbound.ts'

export interface SocketHandlers<C> {
  /** Why no further socket is taken now, in a sentence; null takes it. */
  full(): string | null
  refused(status: string): void
  opened(link: Link, subprotocol: Subprotocol): C
  /** The page that opened this connection may not; follows `opened` at once. */
  originRefused(connection: C): void
  /** `bytes` are gone when this returns. */
  message(connection: C, bytes: Uint8Array, binary: boolean): void
  /** The socket has taken something of what was buffered. */
  drained(connection: C): void
  /** `lost`: the link went without a close frame, and not because nothing had come for `idleSeconds`. */
  closed(connection: C, code: number, lost: boolean): void
}

export interface SocketServer {
  /** Resolves with the port. Rejects with StartError. */
  listen(host: string, port: number): Promise<number>
  /** Takes no further connections; open ones stay. */
  stopListening(): void
  /** Cuts whatever is still open. */
  close(): void
}

interface Socket<C> {
  readonly subprotocol: Subprotocol
  readonly originAllowed: boolean
  connection: C | null
}

/** `LIBUS_LISTEN_EXCLUSIVE_PORT`: without it a second process would share the port in silence. */
const exclusivePort = 1
/** A form of `listen` that the library has and its types lack. */
type ListenOnHost = (
  host: string,
  port: number,
  options: number,
  done: (socket: us_listen_socket | false) => void,
) => void

const webSocketPath = '/ws'

/** No close frame came. */
const abnormal = 1006
/** What the library says of a link that brought nothing for too long. */
const timedOut = 'WebSocket timed out from inactivity'

/** WebSockets on uWebSockets.js. No compression: events are small, shared by many readers and written once for all. */
export function createSocketServer<C>(
  options: { idleSeconds: number; allowedOrigins: readonly string[] },
  handlers: SocketHandlers<C>,
): SocketServer {
  const app = App()
  let listening: us_listen_socket | null = null

  function upgrade(res: HttpResponse, req: HttpRequest, context: us_socket_context_t): void {
    const why = handlers.full()
    if (why !== null) {
      refuse(res, '503 Service Unavailable', why)
      return
    }
    const offered = req.getHeader('sec-websocket-protocol')
    const chosen = choose(offered)
    if (chosen === null) {
      refuse(res, '400 Bad Request', `the subprotocols here are ${subprotocols.join(' and ')}`)
      return
    }
    const origin = req.getHeader('origin')
    const { allowedOrigins } = options
    const originAllowed =
      origin === '' || allowedOrigins.length === 0 || allowedOrigins.includes(origin)
    const socket: Socket<C> = { subprotocol: chosen, originAllowed, connection: null }
    res.upgrade(
      socket,
      req.getHeader('sec-websocket-key'),
      offered === '' ? '' : chosen,
      req.getHeader('sec-websocket-extensions'),
      context,
    )
  }

  function refuse(res: HttpResponse, status: string, message: string): void {
    handlers.refused(status.slice(0, 3))
    res.writeStatus(status).writeHeader('content-type', 'text/plain; charset=utf-8')
    if (status.startsWith('503')) res.writeHeader('retry-after', '5')
    res.end(`${message}\n`, true)
  }

  app.ws<Socket<C>>(webSocketPath, {
    // Anything larger drops the link.
    maxPayloadLength: limits.hardFrameBytes,
    idleTimeout: options.idleSeconds,
    sendPingsAutomatically: true,
    // The bound is outbound.ts's; nothing may be dropped below it.
    maxBackpressure: 0,
    upgrade,
    open(ws) {
      const socket = ws.getUserData()
      const { subprotocol } = socket
      const link = linkOf(ws, subprotocol === 'parley.v1.msgpack')
      // Closing calls `closed` from inside, so the connection must be known before.
      socket.connection = handlers.opened(link, subprotocol)
      if (!socket.originAllowed) handlers.originRefused(socket.connection)
    },
    message(ws, buffer, binary) {
      const { connection } = ws.getUserData()
      if (connection !== null) handlers.message(connection, new Uint8Array(buffer), binary)
    },
    drain(ws) {
      const { connection } = ws.getUserData()
      if (connection !== null) handlers.drained(connection)
    },
    close(ws, code, message) {
      const { connection } = ws.getUserData()
      if (connection === null) return
      const lost = code === abnormal && Buffer.from(message).toString() !== timedOut
      handlers.closed(connection, code, lost)
    },
  })
  app.any('/*', (res, req) => {
    const ours = req.getUrl() === webSocketPath
    refuse(
      res,
      ours ? '426 Upgrade Required' : '404 Not Found',
      `a WebSocket is at ${webSocketPath}`,
    )
  })

  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        const listen = app.listen as unknown as ListenOnHost
        listen.call(app, host, port, exclusivePort, (socket) => {
          if (socket) {
            listening = socket
            resolve(us_socket_local_port(socket as never))
          } else reject(new StartError(cannotListen(host, port)))
        })
      }),
    stopListening() {
      if (listening !== null) us_listen_socket_close(listening)
      listening = null
    },
    close() {
      listening = null
      app.close()
    },
  }
}

function cannotListen(host: string, port: number): string {
  return (
    `the WebSocket server can't listen on ${host}:${port}: the port is in use or the address is not this ` +
    `machine's; set PARLEY_WS_PORT or PARLEY_HOST`
  )
}

/** Null when none of those offered is known; JSON when none was. */
function choose(offered: string): Subprotocol | null {
  if (offered === '') return 'parley.v1.json'
  const names = offered.split(',').map((name) => name.trim())
  const known = names.find((name) => (subprotocols as readonly string[]).includes(name))
  return (known as Subprotocol | undefined) ?? null
}

function linkOf(ws: WebSocket<unknown>, binary: boolean): Link {
  return {
    send: (message) => ws.send(message, binary, false),
    bufferedBytes: () => ws.getBufferedAmount(),
    cork: (write) => void ws.cork(write),
    end: (code, reason) => ws.end(code, reason),
  }
}

/** What is heard on every address is told as the loopback one: without a public URL it is for this machine. */
export function urlOf(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `ws://${name.includes(':') ? `[${name}]` : name}:${port}${webSocketPath}`
}
