import { createHash, randomBytes } from 'node:crypto'

/** Ids as PROTOCOL.md has them, made without Parley's own code. */

export function formatUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20, 32),
  ].join('-')
}

export function uuidBytes(id: string): Buffer {
  const bytes = Buffer.from(id.replaceAll('-', ''), 'hex')
  if (bytes.length !== 16) throw new Error(`no UUID: ${id}`)
  return bytes
}

/** A version 7 UUID (RFC 9562 §5.7) of the time `at`, in milliseconds since 1970. */
export function uuid7(at: number = Date.now()): string {
  const bytes = randomBytes(16)
  bytes.writeUIntBE(at, 0, 6)
  bytes[6] = 0x70 | ((bytes[6] as number) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
  return formatUuid(bytes)
}

/** A version 4 UUID: an id, but not one that a client may make. */
export function uuid4(): string {
  const bytes = randomBytes(16)
  bytes[6] = 0x40 | ((bytes[6] as number) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
  return formatUuid(bytes)
}

/** The id of the direct conversation of two users. */
export function directId(userA: string, userB: string): string {
  const users = [uuidBytes(userA), uuidBytes(userB)].sort(Buffer.compare)
  const bytes = createHash('sha256')
    .update(Buffer.concat([Buffer.from('parley.direct.v1'), ...users]))
    .digest()
    .subarray(0, 16)
  bytes[6] = 0x80 | ((bytes[6] as number) & 0x0f)
  bytes[8] = 0x80 | ((bytes[8] as number) & 0x3f)
  return formatUuid(bytes)
}
