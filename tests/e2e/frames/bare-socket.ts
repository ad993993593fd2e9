import { within } from '../harness/deadline.ts'
import { type Subprotocol, subprotocols } from '../harness/frames.ts'
import { decodeExactly, encodeExactly, listHead, mapHead, type Packed } from './exact-msgpack.ts'
import { clientRows, type Fields, fromArray, fromObject, toArray } from './table.ts'

export interface BareFrame {
  fields: Fields
  /** The frame as it stood in its message: an array, or an object. */
  raw: readonly Packed[] | Fields
}

/** A WebSocket on which every byte that comes is held against the table. */
export interface BareSocket {
  readonly protocol: Subprotocol
  /** What came, in order. */
  readonly frames: readonly BareFrame[]
  /** What came and is not as the table has it. */
  readonly flaws: readonly string[]
  readonly closed: Promise<number>
  post(frame: Fields): void
  postRaw(message: string | Uint8Array): void
  /** The first frame of this type at or after index `from` for which `matches` holds. */
  wait(type: string, matches?: (fields: Fields) => boolean, options?: Waiting): Promise<BareFrame>
  /** Posts, and waits for the first frame of one of these types that came after. */
  ask(frame: Fields, ...types: string[]): Promise<Fields>
  close(): Promise<void>
}

export interface Waiting {
  from?: number
  deadlineMs?: number
}

const defaultDeadlineMs = 10_000

export async function openBareSocket(url: string, protocol: Subprotocol): Promise<BareSocket> {
  const socket = new WebSocket(url, protocol)
  socket.binaryType = 'arraybuffer'
  const frames: BareFrame[] = []
  const flaws: string[] = []
  const waiting = new Set<() => void>()
  const isJson = protocol === subprotocols[0]
  socket.addEventListener('message', ({ data }) => {
    try {
      frames.push(...(isJson ? readText(data) : readBytes(data)))
    } catch (error) {
      flaws.push(String(error))
    }
    for (const check of waiting) check()
  })
  const closed = new Promise<number>((resolve) => {
    socket.addEventListener('close', ({ code }) => {
      resolve(code)
      for (const check of waiting) check()
    })
  })
  const opened = new Promise((resolve, reject) => {
    socket.addEventListener('open', resolve)
    socket.addEventListener('close', ({ code }) => reject(new Error(`closed ${code}`)))
  })
  await within('the socket opens', defaultDeadlineMs, opened)

  const find = (types: readonly string[], matches: (fields: Fields) => boolean, from: number) =>
    frames.slice(from).find((f) => types.includes(String(f.fields.type)) && matches(f.fields))
  const waitAny = async (
    types: readonly string[],
    matches: (fields: Fields) => boolean,
    { from = 0, deadlineMs = defaultDeadlineMs }: Waiting,
  ): Promise<BareFrame> => {
    let check = () => {}
    const found = new Promise<BareFrame>((resolve, reject) => {
      check = () => {
        const frame = find(types, matches, from)
        if (frame !== undefined) resolve(frame)
        else if (socket.readyState === WebSocket.CLOSED) reject(new Error(`no ${types}: closed`))
      }
    })
    waiting.add(check)
    check()
    try {
      return await within(`${types} of ${protocol}`, deadlineMs, found)
    } catch (error) {
      const last = JSON.stringify(frames.slice(-3).map((f) => f.fields))
      throw new Error(`${(error as Error).message}; last came ${last}; ${flaws}`, { cause: error })
    } finally {
      waiting.delete(check)
    }
  }
  const post: BareSocket['post'] = (frame) =>
    socket.send(
      isJson ? JSON.stringify(frame) : Uint8Array.from(encodeLoosely(toArray(clientRows, frame))),
    )
  return {
    protocol,
    frames,
    flaws,
    closed,
    post,
    postRaw: (message) => socket.send(message),
    wait: (type, matches = () => true, options = {}) => waitAny([type], matches, options),
    async ask(frame, ...types) {
      const from = frames.length
      post(frame)
      return (await waitAny(types, () => true, { from })).fields
    },
    async close() {
      socket.close(1000)
      await closed
    },
  }
}

/** [J7] No whitespace, and each value in its one form. */
function readText(data: unknown): BareFrame[] {
  if (typeof data !== 'string') throw new Error('a binary message under JSON')
  const value = JSON.parse(data) as Fields | Fields[]
  if (JSON.stringify(value) !== data) throw new Error(`written otherwise: ${data}`)
  const list = Array.isArray(value) ? value : [value]
  return list.map((raw) => ({ raw, fields: fromObject(raw) }))
}

/** [M2], [M7], [M13] */
function readBytes(data: unknown): BareFrame[] {
  if (!(data instanceof ArrayBuffer)) throw new Error('a text message under MessagePack')
  const bytes = new Uint8Array(data)
  const value = decodeExactly(bytes)
  if (!encodeExactly(value).equals(bytes)) {
    throw new Error(`written otherwise: ${Buffer.from(bytes).toString('hex')}`)
  }
  if (!Array.isArray(value)) throw new Error('a message is an array')
  const list = (typeof value[0] === 'number' ? [value] : value) as Packed[][]
  return list.map((raw) => ({ raw, fields: fromArray(raw) }))
}

/** As `encodeExactly`, with what only hostile clients write: negative numbers, fractions. */
export function encodeLoosely(value: unknown): Buffer {
  if (typeof value === 'number' && !(Number.isSafeInteger(value) && value >= 0)) {
    const bytes = Buffer.alloc(9)
    bytes[0] = 0xcb
    bytes.writeDoubleBE(value, 1)
    return bytes
  }
  if (Array.isArray(value)) {
    return Buffer.concat([listHead(value.length), ...value.map(encodeLoosely)])
  }
  if (typeof value === 'object' && value !== null && !(value instanceof Uint8Array)) {
    const pairs = Object.entries(value).filter(([, entry]) => entry !== undefined)
    return Buffer.concat([
      mapHead(pairs.length),
      ...pairs.flatMap(([key, entry]) => [encodeExactly(key), encodeLoosely(entry)]),
    ])
  }
  return encodeExactly((value ?? null) as Packed)
}
