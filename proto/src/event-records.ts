import type { History } from './frames.ts'
import { pack, unpack } from './pack.ts'

/** What stands in the `events` log: the outcomes of a stretch of commands of the same partition. */
export interface EventRecord {
  /**
   * [R2] The first position not covered: every command of the partition before it has been decided and, where
   * accepted, its event stands in this record or an earlier one.
   */
  upTo: { offset: number; index: number }
  events: EventEntry[]
}

export interface EventEntry {
  /** The command's place in its partition, for [R7] and [R8]. */
  offset: number
  index: number
  /** `contentHash` of the command: what a later duplicate is compared with. */
  hash: Uint8Array
  /** The `event` frame as MessagePack, the very bytes that readers get. */
  frame: Uint8Array
  /** `created` only, and not for readers: whether later members see what was before them. */
  history?: History
}

export function encodeEventRecord(record: EventRecord): Buffer {
  return pack([
    record.upTo.offset,
    record.upTo.index,
    record.events.map((e) =>
      e.history === undefined
        ? [e.offset, e.index, e.hash, e.frame]
        : [e.offset, e.index, e.hash, e.frame, e.history],
    ),
  ])
}

/** Throws when the bytes are no event record. */
export function decodeEventRecord(value: Uint8Array): EventRecord {
  const [offset, index, rows] = unpack(value) as [number, number, unknown[][]]
  if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(index) || !Array.isArray(rows)) {
    throw new Error('no event record')
  }
  return {
    upTo: { offset, index },
    events: rows.map(([o, i, hash, frame, history]) => {
      const entry: EventEntry = {
        offset: o as number,
        index: i as number,
        hash: hash as Uint8Array,
        frame: frame as Uint8Array,
      }
      if (history !== null && history !== undefined) entry.history = history as History
      return entry
    }),
  }
}
