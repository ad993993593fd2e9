import { type Codec, jsonFromMsgpack } from '@parley/proto/codec'
import type { Chunk } from './outbound.ts'
import type { Run } from './reader.ts'

/** Frames that already have the codec's form, as one chunk. */
export function chunkOf(codec: Codec, frames: readonly Uint8Array[]): Chunk {
  if (frames.length === 1) {
    const frame = frames[0] as Uint8Array
    return { bytes: frame, count: 1, message: frame }
  }
  const bytes = codec.concatFrames(frames)
  return { bytes, count: frames.length, message: codec.wrapFrames([bytes], frames.length) }
}

/** `event` frames as MessagePack to chunks of at most `maxBytes` (a single frame may be larger). */
export function eventChunks(
  codec: Codec,
  frames: readonly Uint8Array[],
  maxBytes: number,
): Chunk[] {
  const chunks: Chunk[] = []
  let part: Uint8Array[] = []
  let bytes = 0
  for (const packed of frames) {
    const frame = codec.binary ? packed : transcoded(packed)
    if (part.length > 0 && bytes + frame.length > maxBytes) {
      chunks.push(chunkOf(codec, part))
      part = []
      bytes = 0
    }
    part.push(frame)
    bytes += frame.length
  }
  if (part.length > 0) chunks.push(chunkOf(codec, part))
  return chunks
}

/** By the MessagePack frame: readers that come in at different seqs of a run share each event's JSON. */
const jsonFrames = new WeakMap<Uint8Array, Uint8Array>()

function transcoded(packed: Uint8Array): Uint8Array {
  let json = jsonFrames.get(packed)
  if (json === undefined) {
    json = jsonFromMsgpack(packed)
    jsonFrames.set(packed, json)
  }
  return json
}

/**
 * Chunks of one run at a time, made once per codec for all readers who get the same stretch of it: nearly always all
 * of them.
 */
export class RunChunks {
  readonly #maxBytes: number
  #run: Run | null = null
  #made: { codec: Codec; first: number; last: number; chunks: Chunk[] }[] = []

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Events `first` to `last` of a run that holds them. */
  of(run: Run, codec: Codec, first: number, last: number): Chunk[] {
    if (run !== this.#run) {
      this.#run = run
      this.#made = []
    }
    for (const made of this.#made) {
      if (made.codec === codec && made.first === first && made.last === last) return made.chunks
    }
    const frames = run.frames.slice(first - run.first, last - run.first + 1)
    const chunks = eventChunks(codec, frames, this.#maxBytes)
    if (this.#made.length >= maxStretches) this.#made.shift()
    this.#made.push({ codec, first, last, chunks })
    return chunks
  }
}

/** Different stretches of one run that are kept; a reader beyond them has its own made. */
const maxStretches = 8
