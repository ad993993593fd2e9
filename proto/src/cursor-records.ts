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
  /**
   * The head that the writer knew of: a membership that began after it is not meant, so that a position which comes late,
   * or again after a restart, says nothing of a user who has left and come back since.
   */
  head?: number | undefined
}

export function encodeCursorRecord(cursors: readonly Cursor[]): Buffer {
  return pack(
    cursors.map(({ conversation, user, seq, head }) => {
      const row = [parseId(conversation), parseId(user), seq]
      return head === undefined ? row : [...row, head]
    }),
  )
}

/** Throws when the bytes are no cursor record. */
export function decodeCursorRecord(value: Uint8Array): Cursor[] {
  const rows = unpack(value) as [Uint8Array, Uint8Array, number, number?][]
  return rows.map(([conversation, user, seq, head]) => {
    const sound = Number.isSafeInteger(seq) && (head === undefined || Number.isSafeInteger(head))
    if (!sound) throw new Error('a cursor without a seq')
    const cursor = { conversation: formatId(conversation), user: formatId(user), seq }
    return head === undefined ? cursor : { ...cursor, head }
  })
}
