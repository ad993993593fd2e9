import { isDeepStrictEqual } from 'node:util'
import type { RawEvent } from '@parley/proto/event-frame'
import { unpack } from '@parley/proto/pack'

/** An event that has its place: a row of `messages`. */
export interface PlacedEvent {
  event: RawEvent
  epoch: number
  /** The command's place in the commands log of that epoch. */
  offset: number
  index: number
  hash: Uint8Array
}

/**
 * [R4] The first part in which an event that comes again differs from the one in its place; undefined when it is the
 * same. A stored body may have been erased since, and then the hash alone vouches for it.
 */
export function difference(placed: PlacedEvent, again: PlacedEvent): string | undefined {
  const a = placed.event
  const b = again.event
  if (!sameBytes(a.id, b.id)) return 'id'
  if (a.kind !== b.kind) return 'kind'
  if (!sameBytes(a.sender, b.sender)) return 'sender'
  if (a.at !== b.at) return 'at'
  if (!sameBytes(placed.hash, again.hash)) return 'hash'
  if (!sameOptional(a.target, b.target)) return 'target'
  if (placed.epoch !== again.epoch) return 'epoch'
  if (placed.offset !== again.offset || placed.index !== again.index) return 'position'
  const erased = a.body === null && (a.kind === 'message' || a.kind === 'edit')
  return erased || sameBody(a.body, b.body) ? undefined : 'body'
}

/** Another release may pack the same body in other bytes. */
function sameBody(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b
  return sameBytes(a, b) || isDeepStrictEqual(unpack(a), unpack(b))
}

function sameOptional(a: Uint8Array | null, b: Uint8Array | null): boolean {
  return a === null || b === null ? a === b : sameBytes(a, b)
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
