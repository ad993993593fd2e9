/** Ids that a client makes: version 7 UUIDs (RFC 9562 §5.7), of the server's time. */

let lastMs = 0
let counter = 0

/**
 * A new id; ids of one page sort in the order they were made, even where the time stands or goes back (RFC 9562 §6.2,
 * method 1: a counter of 12 bits, seeded at random below its half, carried into the time when full).
 * @param {number} nowMs
 */
export function newId(nowMs) {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  if (nowMs > lastMs) {
    lastMs = nowMs
    counter = ((bytes[6] << 8) | bytes[7]) & 0x7ff
  } else {
    counter += 1
    if (counter > 0xfff) {
      lastMs += 1
      counter = 0
    }
  }
  const view = new DataView(bytes.buffer)
  view.setUint32(0, Math.floor(lastMs / 0x10000))
  view.setUint16(4, lastMs % 0x10000)
  view.setUint16(6, 0x7000 | counter)
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** The time in a version 7 id, in milliseconds since 1970. */
export function idTime(id) {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}
