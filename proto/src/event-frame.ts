import { eventRow } from './frame-table.ts'
import { type Event, type EventBody, type EventKind, eventKinds } from './frames.ts'
import { formatId } from './ids.ts'
import { messagePackCodec } from './msgpack-codec.ts'
import { pack, unpack, whole } from './pack.ts'

/**
 * The `event` frame as MessagePack, `[67, conversation, seq, id, kind, sender, at, body?, target?]`: made once by the
 * partition's owner, carried as it is to readers and into the events log. What stands here trusts its input, for
 * it reads only what Parley wrote; frames from outside go through the codec.
 */

const eventCode = eventRow.code

/**
 * An event with its parts as bytes: how it is stored, and enough to make the very same frame again. `body` is
 * MessagePack; all ids are 16 bytes.
 */
export interface RawEvent {
  conversation: Uint8Array
  seq: number
  id: Uint8Array
  kind: EventKind
  sender: Uint8Array
  /** Milliseconds since 1970. */
  at: number
  body: Uint8Array | null
  target: Uint8Array | null
}

/** The number of each kind where a row or an index needs one; none is ever given to another kind. */
export const eventKindCodes = {
  message: 1,
  edit: 2,
  delete: 3,
  reaction: 4,
  created: 5,
  joined: 6,
  left: 7,
  role: 8,
  updated: 9,
} as const satisfies Record<EventKind, number>

const kindOfCode = new Map<number, EventKind>(eventKinds.map((k) => [eventKindCodes[k], k]))
const kinds: ReadonlySet<string> = new Set(eventKinds)

/** Throws when no kind has the number. */
export function eventKindOf(code: number): EventKind {
  const kind = kindOfCode.get(code)
  if (kind === undefined) throw new Error(`no event kind has the number ${code}`)
  return kind
}

export function encodeEventFrame(event: Event): Uint8Array {
  return messagePackCodec.encodeServerFrame(event)
}

/** Throws when the bytes are no event frame in the form that `encodeEventFrame` writes. */
export function decodeEventFrame(bytes: Uint8Array): Event {
  return formatEvent(readEventFrame(bytes))
}

/** A stored event as programs handle it. */
export function formatEvent(raw: RawEvent): Event {
  const event: Event = {
    type: 'event',
    conversation: formatId(raw.conversation),
    seq: raw.seq,
    id: formatId(raw.id),
    kind: raw.kind,
    sender: formatId(raw.sender),
    at: raw.at,
  }
  if (raw.body !== null) event.body = unpack(raw.body) as EventBody
  if (raw.target !== null) event.target = formatId(raw.target)
  return event
}

const nil = 0xc0
const bin8 = 0xc4
/** `fixarray` of n elements is this + n. */
const fixArray = 0x90
/** A `bin 8` of 16 bytes: its two bytes of head and the id. */
const idBytes = 18

/** The frame of a stored event, without decoding its body: byte for byte what `encodeEventFrame` made of it. */
export function writeEventFrame(raw: RawEvent): Buffer {
  const head = pack([
    eventCode,
    raw.conversation,
    whole(raw.seq),
    raw.id,
    raw.kind,
    raw.sender,
    whole(raw.at),
  ])
  if (raw.target !== null) {
    head[0] = fixArray + 9
    return Buffer.concat([
      head,
      raw.body ?? Buffer.of(nil),
      Buffer.of(bin8, raw.target.length),
      raw.target,
    ])
  }
  if (raw.body === null) return head
  head[0] = fixArray + 8
  return Buffer.concat([head, raw.body])
}

/**
 * The parts of a frame; byte fields are views into `bytes`. The body is cut out and not decoded, which is possible
 * because nothing but a target of 18 bytes may follow it. Throws when the bytes are no event frame.
 */
export function readEventFrame(bytes: Uint8Array): RawEvent {
  const reader = new HeadReader(bytes)
  const fields = reader.byte() - fixArray
  if (fields < 7 || fields > 9 || reader.byte() !== eventCode) throw new Error('no event frame')
  const conversation = reader.id()
  const seq = reader.integer()
  const id = reader.id()
  const kind = reader.text()
  if (!kinds.has(kind)) throw new Error(`no event kind is called ${JSON.stringify(kind)}`)
  const sender = reader.id()
  const at = reader.integer()
  const start = reader.at
  const end = fields === 9 ? bytes.length - idBytes : bytes.length
  if (end < start || (fields === 7 && end !== start) || (fields > 7 && end === start)) {
    throw new Error('an event frame ends too early or too late')
  }
  let target: Uint8Array | null = null
  if (fields === 9) {
    reader.at = end
    target = reader.id()
  }
  const bare = fields === 7 || (end - start === 1 && bytes[start] === nil)
  return {
    conversation,
    seq,
    id,
    kind: kind as EventKind,
    sender,
    at,
    body: bare ? null : bytes.subarray(start, end),
    target,
  }
}

/** Reads the few MessagePack forms that stand before the body. */
class HeadReader {
  at = 0
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  byte(): number {
    const value = this.bytes[this.at++]
    if (value === undefined) throw new Error('an event frame ends too early')
    return value
  }

  id(): Uint8Array {
    if (this.byte() !== bin8 || this.byte() !== 16) throw new Error('an id is not 16 bytes')
    return this.take(16)
  }

  text(): string {
    const length = this.byte() - 0xa0
    if (length < 0 || length > 31) throw new Error('a kind is not a short string')
    let text = ''
    for (const code of this.take(length)) text += String.fromCharCode(code)
    return text
  }

  integer(): number {
    const form = this.byte()
    if (form < 0x80) return form
    const value = this.number(form)
    if (!Number.isSafeInteger(value) || value < 0) throw new Error('a number is out of range')
    return value
  }

  private number(form: number): number {
    const start = this.at
    const size = numberSizes.get(form)
    if (size === undefined) throw new Error('a number has an unknown form')
    this.take(size)
    const view = new DataView(this.bytes.buffer, this.bytes.byteOffset + start, size)
    switch (form) {
      case 0xcc:
        return view.getUint8(0)
      case 0xcd:
        return view.getUint16(0)
      case 0xce:
        return view.getUint32(0)
      case 0xcf:
        return Number(view.getBigUint64(0))
      case 0xd3:
        return Number(view.getBigInt64(0))
      default:
        return view.getFloat64(0)
    }
  }

  private take(length: number): Uint8Array {
    const end = this.at + length
    if (end > this.bytes.length) throw new Error('an event frame ends too early')
    const part = this.bytes.subarray(this.at, end)
    this.at = end
    return part
  }
}

/** Bytes after the form's own: uint 8, 16, 32, 64, int 64 and float 64. */
const numberSizes = new Map([
  [0xcc, 1],
  [0xcd, 2],
  [0xce, 4],
  [0xcf, 8],
  [0xd3, 8],
  [0xcb, 8],
])
