import { failure } from './errors.ts'
import {
  type DecodedFrame,
  type DecodedMessage,
  type FrameReaders,
  readArrayFrame,
  readers,
} from './frame-reader.ts'
import { frameArray, writers } from './frame-writer.ts'
import type { ClientFrame, ServerFrame } from './frames.ts'
import { limits } from './limits.ts'
import { guardMessagePack } from './msgpack-guard.ts'
import { pack, unpack } from './pack.ts'

/** `parley.v1.msgpack`: a frame is an array, its type code first. */
export const messagePackCodec = {
  subprotocol: 'parley.v1.msgpack',
  binary: true,
  decodeClientMessage: (bytes: Uint8Array): DecodedMessage<ClientFrame> =>
    decode(bytes, readers.client.packed, {
      frames: limits.framesPerMessage,
      elements: limits.elements,
    }),
  decodeServerMessage: (bytes: Uint8Array): DecodedMessage<ServerFrame> =>
    decode(bytes, readers.server.packed, {
      frames: Number.POSITIVE_INFINITY,
      elements: limits.serverElements,
    }),
  encodeClientFrame: (frame: ClientFrame): Uint8Array =>
    pack(frameArray(writers.client.packed, frame)),
  encodeServerFrame: (frame: ServerFrame): Uint8Array =>
    pack(frameArray(writers.server.packed, frame)),
  joinFrames: (frames: readonly Uint8Array[]): Uint8Array => wrapFrames(frames, frames.length),
  concatFrames: (frames: readonly Uint8Array[]): Uint8Array => Buffer.concat(frames),
  wrapFrames,
} as const

function decode<F>(
  bytes: Uint8Array,
  from: FrameReaders,
  max: { frames: number; elements: number },
): DecodedMessage<F> {
  const guarded = guardMessagePack(bytes, max.elements)
  if (!guarded.ok) return guarded
  const message = unpack(asBuffer(bytes))
  if (!Array.isArray(message)) return failure('bad_frame', 'a message is an array')
  if (isFrame(message)) return { ok: true, frames: [readArrayFrame(from, message)] }
  if (message.length === 0) return failure('bad_frame', 'a message holds at least one frame')
  if (message.length > max.frames) {
    return failure('bad_frame', `a message holds at most ${max.frames} frames`)
  }
  const frames: DecodedFrame<F>[] = []
  for (const one of message) {
    if (!Array.isArray(one) || !isFrame(one)) {
      return failure('bad_frame', 'a frame is an array that begins with its type code')
    }
    frames.push(readArrayFrame(from, one))
  }
  return { ok: true, frames }
}

function isFrame(array: readonly unknown[]): boolean {
  return Number.isSafeInteger(array[0])
}

/** The decoder is faster on a Buffer. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function wrapFrames(parts: readonly Uint8Array[], count: number): Uint8Array {
  if (count < 1) throw new RangeError('a message holds at least one frame')
  if (count > 1) return Buffer.concat([arrayHeader(count), ...parts])
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
}

/** The shortest header of an array of `count` elements. */
export function arrayHeader(count: number): Uint8Array {
  if (count < 16) return Uint8Array.of(0x90 | count)
  if (count < 0x1_0000) return Uint8Array.of(0xdc, count >> 8, count & 0xff)
  return Uint8Array.of(0xdd, count >>> 24, (count >> 16) & 0xff, (count >> 8) & 0xff, count & 0xff)
}
