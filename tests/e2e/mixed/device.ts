import { setTimeout as delay } from 'node:timers/promises'
import { within } from '../harness/deadline.ts'
import type {
  Ack,
  ClientFrame,
  ErrorFrame,
  ServerFrame,
  Subprotocol,
  Synced,
  Welcome,
} from '../harness/frames.ts'
import type { Person } from '../harness/people.ts'
import { decodeMessage, encodeMessage } from '../harness/wire-msgpack.ts'
import { createView, type View } from './view.ts'

/** The link ended before the answer came: what became of the frame is not known. */
export const lost = 'lost' as const

export type Answer<T> = T | ErrorFrame | typeof lost

/** One device of a user: comes and goes, keeps its view, and repairs it as a client must. */
export interface Device {
  readonly name: string
  readonly person: Person
  readonly protocol: Subprotocol
  readonly view: View
  readonly isOnline: boolean
  /** The first frame must be `welcome`. Resumes what the view holds. */
  connect(url: string): Promise<Welcome>
  disconnect(): Promise<void>
  /** Of `send`, `edit`, `delete` and `react`. */
  command(frame: ClientFrame & { id: string }): Promise<Answer<Ack>>
  sync(conversation: string, after: number, limit?: number): Promise<Answer<Synced>>
  /** As `sync`, again while the answer says so. */
  syncUntilAnswered(conversation: string, after: number, limit?: number): Promise<Answer<Synced>>
  /** Of `read`, `typing` and `watch`, with a `ref`. */
  tell(frame: ClientFrame): Promise<Answer<ServerFrame>>
}

const answerMs = 30_000
const repairMs = 60_000
let refs = 0

export function createDevice(name: string, person: Person, protocol: Subprotocol): Device {
  const view = createView(`${name} (${protocol})`)
  const pending = new Map<string, (frame: ServerFrame | typeof lost) => void>()
  const repairing = new Set<string>()
  let socket: WebSocket | undefined
  let ticket: string | undefined
  let onWelcome: ((frame: ServerFrame) => void) | undefined

  const post = (link: WebSocket, frame: ClientFrame) =>
    link.send(protocol === 'parley.v1.json' ? JSON.stringify(frame) : encodeMessage(frame))

  const ask = async (key: string, frame: ClientFrame): Promise<ServerFrame | typeof lost> => {
    const link = socket
    if (link?.readyState !== WebSocket.OPEN) return lost
    if (pending.has(key)) throw new Error(`${name} asks twice at once under ${key}`)
    const answer = new Promise<ServerFrame | typeof lost>((resolve) => pending.set(key, resolve))
    post(link, frame)
    try {
      return await within(`${name}: the answer to ${JSON.stringify(frame)}`, answerMs, answer)
    } finally {
      pending.delete(key)
    }
  }

  const sync: Device['sync'] = async (conversation, after, limit) => {
    const ref = `s${++refs}`
    const frame: ClientFrame = { type: 'sync', ref, conversation, after }
    if (limit !== undefined) frame.limit = limit
    return (await ask(ref, frame)) as Answer<Synced>
  }

  const syncUntilAnswered: Device['sync'] = async (conversation, after, limit) => {
    const end = performance.now() + repairMs
    for (;;) {
      const answer = await sync(conversation, after, limit)
      if (answer === lost || answer.type !== 'error' || !answer.retryable) return answer
      if (performance.now() > end) throw new Error(`${name}: ${JSON.stringify(answer)}`)
      await delay(answer.retryAfterMs ?? 100)
    }
  }

  /** Pulls until nothing is lacking, the link is gone or one is no member any more. */
  const repair = async (conversation: string) => {
    if (repairing.has(conversation)) return
    repairing.add(conversation)
    try {
      for (;;) {
        const held = view.contiguous(conversation)
        if (held >= (view.conversations.get(conversation)?.head ?? 0)) return
        const answer = await syncUntilAnswered(conversation, held)
        if (answer === lost || answer.type === 'error') return
      }
    } catch (error) {
      view.faults.push(String(error))
    } finally {
      repairing.delete(conversation)
    }
  }

  const take = (frame: ServerFrame) => {
    if (onWelcome !== undefined) {
      onWelcome(frame)
      return
    }
    for (const conversation of view.take(frame)) void repair(conversation)
    const { id, ref } = frame as { id?: string; ref?: string }
    if (frame.type === 'event') return
    pending.get(id ?? ref ?? '')?.(frame)
    if (frame.type === 'error' && id === undefined && ref === undefined) {
      view.faults.push(`${name}: ${JSON.stringify(frame)}`)
    }
  }

  const open = async (url: string): Promise<WebSocket> => {
    const link = new WebSocket(url, protocol)
    link.binaryType = 'arraybuffer'
    const opened = new Promise<void>((resolve, reject) => {
      link.addEventListener('open', () => resolve())
      link.addEventListener('close', ({ code }) => reject(new Error(`${name}: closed ${code}`)))
    })
    link.addEventListener('message', ({ data }) => {
      try {
        for (const frame of parse(data)) take(frame)
      } catch (error) {
        view.faults.push(`${name}: ${error}`)
      }
    })
    link.addEventListener('close', () => {
      if (socket !== link) return
      socket = undefined
      for (const resolve of pending.values()) resolve(lost)
    })
    await within(`${name} opens`, answerMs, opened)
    return link
  }

  return {
    name,
    person,
    protocol,
    view,
    get isOnline() {
      return socket !== undefined
    },
    async connect(url) {
      const link = await open(url)
      const resume = view.resume()
      let toSync: string[] = []
      const first = new Promise<Welcome>((resolve, reject) => {
        // Within the same turn: frames behind `welcome` in its message belong to the view already.
        onWelcome = (frame) => {
          onWelcome = undefined
          if (frame.type !== 'welcome') {
            reject(new Error(`${name}: expected welcome, got ${JSON.stringify(frame)}`))
            return
          }
          socket = link
          ticket = frame.ticket
          toSync = view.welcomed(frame, resume)
          resolve(frame)
        }
      })
      const hello: ClientFrame = { type: 'hello', token: person.accessToken, device: name, resume }
      if (ticket !== undefined) hello.ticket = ticket
      post(link, hello)
      const welcome = await within(`${name}: welcome`, answerMs, first)
      for (const conversation of toSync) void repair(conversation)
      return welcome
    },
    async disconnect() {
      const link = socket
      if (link === undefined) return
      const closed = new Promise<void>((resolve) => {
        link.addEventListener('close', () => resolve())
      })
      link.close(1000)
      await within(`${name} closes`, answerMs, closed)
    },
    command: (frame) => ask(frame.id, frame) as Promise<Answer<Ack>>,
    sync,
    syncUntilAnswered,
    async tell(frame) {
      const ref = `t${++refs}`
      return ask(ref, { ...frame, ref })
    },
  }
}

function parse(data: unknown): ServerFrame[] {
  if (typeof data !== 'string') return decodeMessage(new Uint8Array(data as ArrayBuffer))
  const value = JSON.parse(data) as ServerFrame | ServerFrame[]
  return Array.isArray(value) ? value : [value]
}
