import { createHash, randomFillSync } from 'node:crypto'

/**
 * Ids are UUIDs: 36 characters in lower case wherever a program handles them, 16 bytes on the wire.
 * Those a client makes are version 7 (RFC 9562 §5.7); a direct conversation's is version 8 (§5.8).
 */

/** Two ASCII digits for each byte, and back from a digit to its value. */
const digits = Buffer.from(
  Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0')).join(''),
  'latin1',
)
const nibbles = new Uint8Array(128)
for (let value = 0; value < 16; value++) nibbles[value.toString(16).charCodeAt(0)] = value

const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** True for 36 characters of a lower-case RFC 9562 UUID of versions 1–8. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && pattern.test(value)
}

export function idVersion(id: string): number {
  return id.charCodeAt(14) - 48
}

/** 36 bytes that each formatting writes anew; the hyphens stay. */
const formatted = Buffer.from('-'.repeat(36), 'latin1')

/**
 * 16 bytes to 36 characters. Throws RangeError on another length. The string is made in one piece: put together
 * from pieces it would cost more again when it is first compared or used as a key.
 */
export function formatId(b: Uint8Array): string {
  if (b.length !== 16) throw new RangeError(`an id has 16 bytes, this has ${b.length}`)
  let at = 0
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) at += 1
    const digit = (b[i] as number) * 2
    formatted[at++] = digits[digit] as number
    formatted[at++] = digits[digit + 1] as number
  }
  return formatted.toString('latin1')
}

/** 36 characters to 16 bytes. The caller has checked `isId`. */
export function parseId(id: string): Uint8Array {
  const b = Buffer.allocUnsafe(16)
  let at = 0
  for (let i = 0; i < 36; i += 2) {
    if (i === 8 || i === 13 || i === 18 || i === 23) i += 1
    const high = nibbles[id.charCodeAt(i)] as number
    b[at++] = (high << 4) | (nibbles[id.charCodeAt(i + 1)] as number)
  }
  return b
}

/** The time in a version 7 id, in milliseconds since 1970; NaN for other versions. */
export function idTime(id: string): number {
  if (idVersion(id) !== 7) return Number.NaN
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}

let lastMs = 0
let counter = 0

/**
 * A new version 7 id of the given time; ids made one after another in the same millisecond sort in that order
 * (RFC 9562 §6.2, method 1: a 12-bit counter, seeded at random below its half, carried into the time when full).
 */
export function newId(nowMs: number = Date.now()): string {
  const b = randomFillSync(new Uint8Array(16))
  if (nowMs === lastMs) counter += 1
  else counter = (((b[6] as number) << 8) | (b[7] as number)) & 0x7ff
  lastMs = nowMs
  const ms = nowMs + (counter >>> 12)
  const view = new DataView(b.buffer)
  view.setUint32(0, Math.floor(ms / 0x10000))
  view.setUint16(4, ms % 0x10000)
  view.setUint16(6, 0x7000 | (counter & 0xfff))
  b[8] = ((b[8] as number) & 0x3f) | 0x80
  return formatId(b)
}

const directLabel = Buffer.from('parley.direct.v1', 'ascii')

/**
 * The id of the direct conversation of two users: the first 16 bytes of
 * SHA-256(`parley.direct.v1` ‖ smaller id ‖ greater id), with version 8 and the RFC 9562 variant set.
 */
export function directConversationId(userA: string, userB: string): string {
  const [first, second] = userA < userB ? [userA, userB] : [userB, userA]
  const b = createHash('sha256')
    .update(directLabel)
    .update(parseId(first))
    .update(parseId(second))
    .digest()
    .subarray(0, 16)
  b[6] = ((b[6] as number) & 0x0f) | 0x80
  b[8] = ((b[8] as number) & 0x3f) | 0x80
  return formatId(b)
}
