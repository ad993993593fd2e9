import type { DecodedMessage } from './frame-reader.ts'
import { readArrayFrame, readers } from './frame-reader.ts'
import { serverFrames } from './frame-table.ts'
import { frameArray, writers } from './frame-writer.ts'
import type { ClientFrame, Event, ServerFrame, Subprotocol, Synced } from './frames.ts'
import { jsonCodec } from './json-codec.ts'
import { arrayHeader, messagePackCodec } from './msgpack-codec.ts'
import { pack, unpack } from './pack.ts'

export type { DecodedFrame, DecodedMessage } from './frame-reader.ts'

/**
 * Frames to bytes and back, for one subprotocol. Decoding takes any bytes and never throws; encoding takes frames
 * that the program vouches for. What decodes holds no reference to the bytes it came from.
 */
export interface Codec {
  readonly subprotocol: Subprotocol
  /** WebSocket messages are binary, not text. */
  readonly binary: boolean
  decodeClientMessage(bytes: Uint8Array): DecodedMessage<ClientFrame>
  /** As strict as `decodeClientMessage`, but of as many frames as the bytes hold. */
  decodeServerMessage(bytes: Uint8Array): DecodedMessage<ServerFrame>
  encodeClientFrame(frame: ClientFrame): Uint8Array
  encodeServerFrame(frame: ServerFrame): Uint8Array
  /** A message: one frame as it is, many as a batch. Throws RangeError on none. */
  joinFrames(frames: readonly Uint8Array[]): Uint8Array
  /** The inside of a batch, without what stands around it; empty for no frames. */
  concatFrames(frames: readonly Uint8Array[]): Uint8Array
  /** A message of what `concatFrames` gave; `count` is the number of frames in all `parts`. */
  wrapFrames(parts: readonly Uint8Array[], count: number): Uint8Array
}

const codecs = {
  'parley.v1.msgpack': messagePackCodec,
  'parley.v1.json': jsonCodec,
} as const satisfies Record<Subprotocol, Codec>

export function codecFor(subprotocol: Subprotocol): Codec {
  return codecs[subprotocol]
}

/** A server frame of our own as MessagePack, decoded. Throws when it is none: then something of ours is broken. */
export function readTrustedFrame(frame: Uint8Array): ServerFrame {
  const array = unpack(frame)
  const decoded = readArrayFrame<ServerFrame>(readers.server.packed, array as unknown[])
  if (!decoded.ok) throw new Error(`no sound server frame: ${decoded.message}`)
  return decoded.frame
}

/** The JSON of one server frame of our own that is there as MessagePack; the same bytes as encoding it anew. */
export function jsonFromMsgpack(frame: Uint8Array): Uint8Array {
  return jsonCodec.encodeServerFrame(readTrustedFrame(frame))
}

/**
 * A `synced` frame around events that are there as MessagePack frames. For MessagePack the bytes are put together
 * as they are; for JSON each is transcoded.
 */
export function encodeSyncedFromFrames(
  codec: Codec,
  page: Omit<Synced, 'type' | 'events'>,
  eventFrames: readonly Uint8Array[],
): Uint8Array {
  if (!codec.binary) {
    const events = eventFrames.map((frame) => readTrustedFrame(frame) as Event)
    return codec.encodeServerFrame({ type: 'synced', ...page, events })
  }
  const values = frameArray(writers.server.packed, { type: 'synced', ...page, events: [] })
  const parts: Uint8Array[] = [arrayHeader(values.length)]
  values.forEach((value, place) => {
    if (place === eventsPlace) parts.push(arrayHeader(eventFrames.length), ...eventFrames)
    else parts.push(pack(value))
  })
  return Buffer.concat(parts)
}

/** Where a `synced` array has its events; the type code stands before the fields. */
const eventsPlace =
  1 +
  (serverFrames
    .find((row) => row.type === 'synced')
    ?.fields.findIndex((field) => field.name === 'events') as number)
