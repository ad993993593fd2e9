import { type Failure, failure } from './errors.ts'
import { limits } from './limits.ts'

/**
 * Looks through MessagePack from outside before any decoder does: what passes is one whole value of plain types,
 * not too deep, not too many, with sound UTF-8 and strings as keys. One pass over the bytes, no recursion; nothing
 * is allocated unless the answer is a failure.
 */

const sound = { ok: true } as const

/** Levels in a batch: the frame is the first level of `limits.nesting`, and the batch stands around it. */
const levels = limits.nesting + 1
/** By level: how many values are still to come, and whether they are keys and values of a map. */
const left = new Int32Array(levels + 1)
const isMap = new Uint8Array(levels + 1)

/** `maxElements`: values in the message, containers and keys included. */
export function guardMessagePack(
  bytes: Uint8Array,
  maxElements: number = limits.elements,
): { ok: true } | Failure {
  const end = bytes.length
  const maxDepth = startsBatch(bytes) ? levels : limits.nesting
  let pos = 0
  let depth = 0
  let elements = 0
  left[0] = 1
  isMap[0] = 0
  for (;;) {
    while (depth >= 0 && left[depth] === 0) depth -= 1
    if (depth < 0) break
    if (pos >= end) return bad(pos, 'the bytes end within a value')
    const at = pos
    const byte = bytes[pos++] as number
    const wantsKey = isMap[depth] === 1 && ((left[depth] as number) & 1) === 0
    left[depth] = (left[depth] as number) - 1
    elements += 1
    if (elements > maxElements) return bad(at, `more than ${maxElements} values`)

    let container = 0 // 1 array, 2 map
    let length = -1 // bytes of a string, -1 for none
    let size = 0 // bytes of a binary or number; entries of a container
    if (byte < 0x80 || byte >= 0xe0) {
      // a small integer is all of itself
    } else if (byte < 0x90) {
      container = 2
      size = byte & 0x0f
    } else if (byte < 0xa0) {
      container = 1
      size = byte & 0x0f
    } else if (byte < 0xc0) {
      length = byte & 0x1f
    } else {
      const header = headerBytes[byte - 0xc0] as number
      if (header < 0)
        return bad(at, byte === 0xc1 ? '0xc1 is no type' : 'extension types are refused')
      if (pos + header > end) return bad(at, 'the bytes end within a value')
      if (byte <= 0xc3) {
        // nil and booleans
      } else if (byte <= 0xc6) size = bigEndian(bytes, pos, header)
      else if (byte <= 0xd3) size = 0
      else if (byte <= 0xdb) length = bigEndian(bytes, pos, header)
      else {
        container = byte <= 0xdd ? 1 : 2
        size = bigEndian(bytes, pos, header)
      }
      pos += header
    }

    if (wantsKey && length < 0) return bad(at, 'a map has a key that is no string')
    if (container > 0) {
      if (size * container > end - pos) return bad(at, 'a container is longer than the bytes')
      depth += 1
      if (depth > maxDepth) return bad(at, `nested deeper than ${limits.nesting}`)
      left[depth] = size * container
      isMap[depth] = container - 1
    } else if (length >= 0) {
      if (length > end - pos) return bad(at, 'a string is longer than the bytes')
      const wrong = findBadUtf8(bytes, pos, pos + length)
      if (wrong >= 0) return bad(wrong, 'a string is no UTF-8')
      pos += length
    } else {
      if (size > end - pos) return bad(at, 'a binary is longer than the bytes')
      pos += size
    }
  }
  return pos === end ? sound : bad(pos, 'bytes follow the message')
}

/** Bytes after the type byte, from 0xc0 on: of a number itself, or of a length. −1: refused. */
const headerBytes = new Int8Array([
  ...[0, -1, 0, 0], // nil, never used, false, true
  ...[1, 2, 4], // binary
  ...[-1, -1, -1], // ext
  ...[4, 8], // float
  ...[1, 2, 4, 8], // unsigned
  ...[1, 2, 4, 8], // signed
  ...[-1, -1, -1, -1, -1], // fixext
  ...[1, 2, 4], // string
  ...[2, 4], // array
  ...[2, 4], // map
])

function bigEndian(bytes: Uint8Array, pos: number, count: number): number {
  let value = 0
  for (let i = 0; i < count; i++) value = value * 256 + (bytes[pos + i] as number)
  return value
}

/** Whether the first value is an array whose first element is an array. */
function startsBatch(bytes: Uint8Array): boolean {
  const first = bytes[0] as number
  const inside = first === 0xdc ? 3 : first === 0xdd ? 5 : first >= 0x91 && first <= 0x9f ? 1 : 0
  if (inside === 0) return false
  const second = bytes[inside] as number
  return (second >= 0x90 && second <= 0x9f) || second === 0xdc || second === 0xdd
}

/** The offset of the first byte that is no UTF-8 (RFC 3629), or −1. */
function findBadUtf8(bytes: Uint8Array, start: number, end: number): number {
  let pos = start
  while (pos < end) {
    const a = bytes[pos] as number
    if (a < 0x80) {
      pos += 1
      continue
    }
    if (a < 0xc2 || a > 0xf4) return pos
    const more = a < 0xe0 ? 1 : a < 0xf0 ? 2 : 3
    if (pos + more >= end) return pos
    const b = bytes[pos + 1] as number
    // The second byte rules out overlong forms, surrogates, and what lies above U+10FFFF.
    const low = a === 0xe0 ? 0xa0 : a === 0xf0 ? 0x90 : 0x80
    const high = a === 0xed ? 0x9f : a === 0xf4 ? 0x8f : 0xbf
    if (b < low || b > high) return pos
    for (let i = 2; i <= more; i++) {
      if (((bytes[pos + i] as number) & 0xc0) !== 0x80) return pos
    }
    pos += more + 1
  }
  return -1
}

function bad(at: number, why: string): Failure {
  return failure('bad_frame', `byte ${at}: ${why}`)
}
