import { formatId, parseId } from './ids.ts'
import { pack, unpack } from './pack.ts'

/**
 * What stands in the `cursors` log: how far users have read, coalesced, many of one partition (`partitionOf` the
 * conversation) in one record. [G9] Positions only advance, so doubled, late and reordered ones change nothing.
 */
export interface Cursor {
  conversation: string
  user: string
  /** At most a head that the writer knew of. */
  seq: number
}

export function encodeCursorRecord(cursors: readonly Cursor[]): Buffer {
  return pack(cursors.map((c) => [parseId(c.conversation), parseId(c.user), c.seq]))
}

/** Throws when the bytes are no cursor record. */
export function decodeCursorRecord(value: Uint8Array): Cursor[] {
  const rows = unpack(value) as [Uint8Array, Uint8Array, number][]
  return rows.map(([conversation, user, seq]) => {
    if (!Number.isSafeInteger(seq)) throw new Error('a cursor without a seq')
    return { conversation: formatId(conversation), user: formatId(user), seq }
  })
}
