import { createHash, randomFillSync } from 'node:crypto'

/**
 * Ids are UUIDs: 36 characters in lower case wherever a program handles them, 16 bytes on the wire.
 * Those a client makes are version 7 (RFC 9562 §5.7); a direct conversation's is version 8 (§5.8).
 */

const hex: string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))
const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** True for 36 characters of a lower-case RFC 9562 UUID of versions 1–8. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && pattern.test(value)
}

export function idVersion(id: string): number {
  return id.charCodeAt(14) - 48
}

/** 16 bytes to 36 characters. Throws RangeError on another length. */
export function formatId(b: Uint8Array): string {
  if (b.length !== 16) throw new RangeError(`an id has 16 bytes, this has ${b.length}`)
  let text = ''
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-'
    text += hex[b[i] as number]
  }
  return text
}

/** 36 characters to 16 bytes. The caller has checked `isId`. */
export function parseId(id: string): Uint8Array {
  return Buffer.from(id.replaceAll('-', ''), 'hex')
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
