import { isUtf8 } from 'node:buffer'
import { type Failure, failure } from './errors.ts'
import { limits } from './limits.ts'

/**
 * Looks through JSON from outside before the parser does: sound UTF-8, not too deep, not too many values. Whether
 * it is JSON at all is left to the parser. One pass over the bytes, no recursion.
 */

const sound = { ok: true } as const

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const arrayStart = 0x5b
const arrayEnd = 0x5d
const objectStart = 0x7b
const objectEnd = 0x7d

/** `maxElements`: values in the message, containers and keys included. */
export function guardJson(
  bytes: Uint8Array,
  maxElements: number = limits.elements,
): { ok: true } | Failure {
  if (!isUtf8(bytes)) return failure('bad_frame', 'the bytes are no UTF-8')
  let depth = 0
  let maxDepth = 0
  let elements = 1
  for (let pos = 0; pos < bytes.length; pos++) {
    const byte = bytes[pos]
    if (byte === quote) {
      pos = endOfString(bytes, pos + 1)
    } else if (byte === objectStart || byte === arrayStart) {
      // The frame is the first level; a batch stands around it.
      if (maxDepth === 0) maxDepth = byte === arrayStart ? limits.nesting + 1 : limits.nesting
      depth += 1
      elements += 1
      if (depth > maxDepth) {
        return failure('bad_frame', `byte ${pos}: nested deeper than ${limits.nesting}`)
      }
    } else if (byte === objectEnd || byte === arrayEnd) {
      depth -= 1
    } else if (byte === comma || byte === colon) {
      elements += 1
    }
  }
  return elements > maxElements ? failure('bad_frame', `more than ${maxElements} values`) : sound
}

/** The place of the closing quote, or the end of the bytes. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let pos = start; pos < bytes.length; pos++) {
    const byte = bytes[pos]
    if (byte === quote) return pos
    if (byte === backslash) pos += 1
  }
  return bytes.length
}
