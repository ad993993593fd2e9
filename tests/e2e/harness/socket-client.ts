import {
  type Ack,
  type ClientFrame,
  type ErrorFrame,
  type ServerFrame,
  type ServerFrames,
  type ServerType,
  type Subprotocol,
  type Synced,
  subprotocols,
  type Welcome,
} from './frames.ts'
import { uuid7 } from './ids.ts'
import { decodeMessage, encodeMessage } from './wire-msgpack.ts'

/** A thin client of the wire on Node's own WebSocket: it repairs nothing and hides nothing. */
export interface SocketClient {
  readonly protocol: string
  /** Every frame received, in order. */
  readonly journal: readonly ServerFrame[]
  /** Resolves when the link is closed, by whomever. */
  readonly closed: Promise<{ code: number; reason: string }>
  readonly isOpen: boolean
  /** One frame, or an array of frames in one message. */
  post(frames: ClientFrame | readonly ClientFrame[]): void
  postRaw(message: string | Uint8Array): void
  /**
   * The first frame of the type, received at or after journal index `from` (0 by itself), for which `matches` holds.
   * Rejects at the deadline, and when the link closes before.
   */
  wait<T extends ServerType>(
    type: T,
    matches?: (frame: ServerFrames[T]) => boolean,
    options?: { from?: number; deadlineMs?: number },
  ): Promise<ServerFrames[T]>
  hello(token: string, fields?: Record<string, unknown>): Promise<Welcome>
  /** Sends a message and waits for its answer, whichever it is. */
  send(conversation: string, body: unknown, options?: SendOptions): Promise<Ack | ErrorFrame>
  /** As `send`, and throws unless it was acked. */
  say(conversation: string, text: string, options?: SendOptions): Promise<Ack>
  sync(conversation: string, after: number, limit?: number): Promise<Synced>
  ping(): Promise<number>
  close(): Promise<void>
}

export interface SendOptions {
  id?: string
  retry?: boolean
  deadlineMs?: number
}

export interface SocketOptions {
  /** Absent: none is asked for, which means JSON. */
  protocol?: Subprotocol
  deadlineMs?: number
}

const defaultDeadlineMs = 10_000
let refs = 0

export async function openSocket(url: string, options: SocketOptions = {}): Promise<SocketClient> {
  const socket = options.protocol ? new WebSocket(url, options.protocol) : new WebSocket(url)
  socket.binaryType = 'arraybuffer'
  const inbox = createInbox(socket)
  await opened(socket, options.deadlineMs ?? defaultDeadlineMs)
  const wanted = options.protocol ?? ''
  if (socket.protocol !== wanted) throw new Error(`asked for '${wanted}', got '${socket.protocol}'`)
  const binary = socket.protocol === subprotocols[1]

  const post: SocketClient['post'] = (frames) =>
    socket.send(binary ? encodeMessage(frames) : JSON.stringify(frames))
  const { wait } = inbox
  const request = async <T extends ServerType>(
    frame: ClientFrame,
    answer: T,
    matches: (f: ServerFrames[T] | ErrorFrame) => boolean,
    deadlineMs = defaultDeadlineMs,
  ): Promise<ServerFrames[T] | ErrorFrame> => {
    const from = inbox.journal.length
    post(frame)
    return inbox.waitAny([answer, 'error'], matches as (f: ServerFrame) => boolean, {
      from,
      deadlineMs,
    }) as Promise<ServerFrames[T] | ErrorFrame>
  }
  const client: SocketClient = {
    protocol: socket.protocol,
    journal: inbox.journal,
    closed: inbox.closed,
    get isOpen() {
      return socket.readyState === WebSocket.OPEN
    },
    post,
    postRaw: (message) => socket.send(message),
    wait,
    async hello(token, fields = {}) {
      const answer = await request(
        { type: 'hello', token, device: 'e2e', ...fields },
        'welcome',
        () => true,
      )
      return must(answer, 'welcome')
    },
    send(conversation, body, { id = uuid7(), retry, deadlineMs } = {}) {
      const frame: ClientFrame = { type: 'send', id, conversation, body }
      if (retry !== undefined) frame.retry = retry
      return request(frame, 'ack', (f) => f.id === id, deadlineMs)
    },
    async say(conversation, text, sendOptions) {
      return must(await client.send(conversation, { text }, sendOptions), 'ack')
    },
    async sync(conversation, after, limit) {
      const ref = `s${++refs}`
      const frame: ClientFrame = { type: 'sync', ref, conversation, after }
      if (limit !== undefined) frame.limit = limit
      return must(await request(frame, 'synced', (f) => f.ref === ref), 'synced')
    },
    async ping() {
      const ref = `p${++refs}`
      return must(await request({ type: 'ping', ref }, 'pong', (f) => f.ref === ref), 'pong').time
    },
    async close() {
      socket.close(1000)
      await inbox.closed
    },
  }
  return client
}

function must<T extends ServerType>(frame: ServerFrames[T] | ErrorFrame, type: T): ServerFrames[T] {
  if (frame.type === type) return frame as ServerFrames[T]
  throw new Error(`expected ${type}, got ${JSON.stringify(frame)}`)
}

function opened(socket: WebSocket, deadlineMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`the socket did not open within ${deadlineMs} ms`))
      socket.close()
    }, deadlineMs)
    socket.addEventListener('open', () => {
      clearTimeout(timer)
      resolve()
    })
    socket.addEventListener('close', (event) => {
      clearTimeout(timer)
      reject(new Error(`the socket closed before it opened (${event.code})`))
    })
  })
}

interface Waiter {
  matches(frame: ServerFrame): boolean
  resolve(frame: ServerFrame): void
  reject(error: Error): void
}

/** Keeps all that comes and wakes who waits for it. */
function createInbox(socket: WebSocket) {
  const journal: ServerFrame[] = []
  const waiters = new Set<Waiter>()
  let closeCode: number | undefined
  const failAll = (error: Error) => {
    for (const waiter of waiters) waiter.reject(error)
    waiters.clear()
  }
  let resolveClosed: (how: { code: number; reason: string }) => void = () => {}
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    resolveClosed = resolve
  })
  socket.addEventListener('message', (event) => {
    try {
      for (const frame of parseMessage(event.data as string | ArrayBuffer)) {
        journal.push(frame)
        for (const waiter of waiters) {
          if (!waiter.matches(frame)) continue
          waiters.delete(waiter)
          waiter.resolve(frame)
        }
      }
    } catch (error) {
      failAll(error as Error)
      socket.close(3002)
    }
  })
  socket.addEventListener('close', ({ code, reason }) => {
    closeCode = code
    resolveClosed({ code, reason })
    failAll(new Error(`the link closed: ${code} ${reason}`))
  })

  const waitAny = (
    types: readonly ServerType[],
    matches: (frame: ServerFrame) => boolean,
    { from = 0, deadlineMs = defaultDeadlineMs }: { from?: number; deadlineMs?: number } = {},
  ): Promise<ServerFrame> => {
    const fits = (frame: ServerFrame) => types.includes(frame.type) && matches(frame)
    const found = journal.slice(from).find(fits)
    if (found !== undefined) return Promise.resolve(found)
    if (closeCode !== undefined) {
      return Promise.reject(new Error(`no ${types[0]} came before the link closed: ${closeCode}`))
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        matches: fits,
        resolve: (frame) => {
          clearTimeout(timer)
          resolve(frame)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      const timer = setTimeout(() => {
        waiters.delete(waiter)
        const last = JSON.stringify(journal.slice(-3)).slice(0, 600)
        reject(new Error(`no ${types[0]} within ${deadlineMs} ms; last came ${last}`))
      }, deadlineMs)
      waiters.add(waiter)
    })
  }
  return {
    journal,
    closed,
    waitAny,
    wait: (<T extends ServerType>(
      type: T,
      matches: (frame: ServerFrames[T]) => boolean = () => true,
      options = {},
    ) => waitAny([type], matches as (f: ServerFrame) => boolean, options)) as SocketClient['wait'],
  }
}

function parseMessage(data: string | ArrayBuffer): ServerFrame[] {
  if (typeof data !== 'string') return decodeMessage(new Uint8Array(data))
  const value = JSON.parse(data) as ServerFrame | ServerFrame[]
  return Array.isArray(value) ? value : [value]
}
