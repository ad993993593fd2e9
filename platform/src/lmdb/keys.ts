import { crc32 } from 'node:zlib'

/** Offsets as keys: 8 bytes, big-endian, so that LMDB's byte order is the order of offsets. */
export function offsetKey(offset: number): Buffer {
  const key = Buffer.allocUnsafe(8)
  key.writeBigUInt64BE(BigInt(offset))
  return key
}

export function offsetOfKey(key: Uint8Array): number {
  return Number(Buffer.from(key.buffer, key.byteOffset, 8).readBigUInt64BE())
}

/** Names are joined by a zero byte, which `openLmdbLog` refuses in topic and group names. */
export function nameKey(...parts: (string | number)[]): Buffer {
  return Buffer.from(parts.join('\0'))
}

/** A stored offset: 8 bytes and the CRC-32 of the key and these 8 bytes. */
export function encodeOffset(key: Uint8Array, offset: number): Buffer {
  const bytes = Buffer.allocUnsafe(12)
  bytes.writeBigUInt64BE(BigInt(offset))
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8), crc32(key)), 8)
  return bytes
}

/** Null when the checksum does not fit. */
export function decodeOffset(key: Uint8Array, bytes: Uint8Array): number | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (buffer.length !== 12) return null
  if (crc32(buffer.subarray(0, 8), crc32(key)) !== buffer.readUInt32BE(8)) return null
  return Number(buffer.readBigUInt64BE())
}
