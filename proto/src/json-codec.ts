import { failure } from './errors.ts'
import { isRecord } from './field-readers.ts'
import {
  type DecodedFrame,
  type DecodedMessage,
  type FrameReaders,
  readers,
  readObjectFrame,
} from './frame-reader.ts'
import { frameObject, writers } from './frame-writer.ts'
import type { ClientFrame, ServerFrame } from './frames.ts'
import { guardJson } from './json-guard.ts'
import { limits } from './limits.ts'

/** `parley.v1.json`: a frame is an object, its `type` a name. */
export const jsonCodec = {
  subprotocol: 'parley.v1.json',
  binary: false,
  decodeClientMessage: (bytes: Uint8Array): DecodedMessage<ClientFrame> =>
    decode(bytes, readers.client.json, {
      frames: limits.framesPerMessage,
      elements: limits.elements,
    }),
  decodeServerMessage: (bytes: Uint8Array): DecodedMessage<ServerFrame> =>
    decode(bytes, readers.server.json, {
      frames: Number.POSITIVE_INFINITY,
      elements: limits.serverElements,
    }),
  encodeClientFrame: (frame: ClientFrame): Uint8Array => stringify(writers.client.json, frame),
  encodeServerFrame: (frame: ServerFrame): Uint8Array => stringify(writers.server.json, frame),
  joinFrames: (frames: readonly Uint8Array[]): Uint8Array => wrapFrames(frames, frames.length),
  concatFrames: (frames: readonly Uint8Array[]): Uint8Array => Buffer.concat(commaed(frames)),
  wrapFrames,
} as const

type Writers = Parameters<typeof frameObject>[0]

function stringify(to: Writers, frame: object): Uint8Array {
  return Buffer.from(JSON.stringify(frameObject(to, frame)), 'utf8')
}

function decode<F>(
  bytes: Uint8Array,
  from: FrameReaders,
  max: { frames: number; elements: number },
): DecodedMessage<F> {
  const guarded = guardJson(bytes, max.elements)
  if (!guarded.ok) return guarded
  const parsed = parse(bytes)
  if (!parsed.ok) return parsed
  const message = parsed.value
  if (isFrame(message)) return { ok: true, frames: [readObjectFrame(from, message)] }
  if (!Array.isArray(message)) return failure('bad_frame', notFrame)
  if (message.length === 0) return failure('bad_frame', 'a message holds at least one frame')
  if (message.length > max.frames) {
    return failure('bad_frame', `a message holds at most ${max.frames} frames`)
  }
  const frames: DecodedFrame<F>[] = []
  for (const one of message) {
    if (!isFrame(one)) return failure('bad_frame', notFrame)
    frames.push(readObjectFrame(from, one))
  }
  return { ok: true, frames }
}

const notFrame = 'a frame is an object whose type is a string'

function isFrame(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && typeof value.type === 'string'
}

function parse(bytes: Uint8Array) {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  try {
    return { ok: true, value: JSON.parse(text) as unknown } as const
  } catch {
    return failure('bad_frame', 'the bytes are no JSON')
  }
}

const comma = Buffer.from(',')
const opening = Buffer.from('[')
const closing = Buffer.from(']')

function wrapFrames(parts: readonly Uint8Array[], count: number): Uint8Array {
  if (count < 1) throw new RangeError('a message holds at least one frame')
  if (count > 1) return Buffer.concat([opening, ...commaed(parts), closing])
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
}

/** Empty parts stand for no frames and take no comma. */
function commaed(parts: readonly Uint8Array[]): Uint8Array[] {
  const list: Uint8Array[] = []
  for (const part of parts) {
    if (part.length === 0) continue
    if (list.length > 0) list.push(comma)
    list.push(part)
  }
  return list
}
