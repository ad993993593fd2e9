import { crc32 } from 'node:zlib'
import type { RecordHeaders } from '@parley/proto/record-headers'

/**
 * A stored record:
 *
 *     0     format, 1
 *     1–4   CRC-32 of everything from byte 5, begun with that of topic, partition and offset, so that a record which
 *           is whole but stands in the wrong place is noticed too
 *     5–6   length of the headers
 *     7–    headers as JSON, then the value
 */
const recordFormat = 1
const prefixBytes = 7

/** `seal` must follow once the offset is known. Throws RangeError when the headers exceed 65,535 bytes. */
export function encodeRecord(headers: RecordHeaders, value: Uint8Array): Buffer {
  const json = JSON.stringify(headers)
  const headerBytes = Buffer.byteLength(json)
  if (headerBytes > 0xffff) throw new RangeError(`record headers of ${headerBytes} bytes`)
  const bytes = Buffer.allocUnsafe(prefixBytes + headerBytes + value.byteLength)
  bytes[0] = recordFormat
  bytes.writeUInt16BE(headerBytes, 5)
  bytes.write(json, prefixBytes)
  bytes.set(value, prefixBytes + headerBytes)
  return bytes
}

/** The start of a partition's checksums. */
export function partitionSeed(topic: string, partition: number): number {
  return crc32(`${topic}\0${partition}`)
}

export function seal(bytes: Buffer, seed: number, key: Uint8Array): void {
  bytes.writeUInt32BE(crc32(bytes.subarray(5), crc32(key, seed)), 1)
}

/** A sentence that says what is wrong with the bytes, or the record; `value` is a view on `bytes`. */
export function decodeRecord(
  bytes: Buffer,
  seed: number,
  key: Uint8Array,
): { headers: RecordHeaders; value: Uint8Array } | string {
  if (bytes.length < prefixBytes) return `is cut off after ${bytes.length} bytes`
  if (bytes[0] !== recordFormat) return `has format ${bytes[0]}, not ${recordFormat}`
  if (crc32(bytes.subarray(5), crc32(key, seed)) !== bytes.readUInt32BE(1)) {
    return 'does not match its checksum'
  }
  const valueStart = prefixBytes + bytes.readUInt16BE(5)
  return {
    headers: JSON.parse(bytes.toString('utf8', prefixBytes, valueStart)) as RecordHeaders,
    value: bytes.subarray(valueStart),
  }
}
