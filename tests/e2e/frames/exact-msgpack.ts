/**
 * MessagePack as Parley writes it ([M7], [M13]): one form for each value, the shortest, integers above 32 bits as int 64. By
 * hand, so that bytes are held against the format and not against a library's taste.
 */

export type Packed =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Packed[]
  | { readonly [key: string]: Packed }

export function encodeExactly(value: Packed): Buffer {
  if (value === null) return Buffer.from([0xc0])
  if (typeof value === 'boolean') return Buffer.from([value ? 0xc3 : 0xc2])
  if (typeof value === 'number') return encodeInteger(value)
  if (typeof value === 'string') {
    const bytes = Buffer.from(value)
    return Buffer.concat([head(bytes.length, 0xa0, 31, [0xd9, 0xda, 0xdb]), bytes])
  }
  if (value instanceof Uint8Array) {
    return Buffer.concat([head(value.length, 0, -1, [0xc4, 0xc5, 0xc6]), value])
  }
  if (Array.isArray(value)) {
    const entries = (value as readonly Packed[]).map(encodeExactly)
    return Buffer.concat([listHead(value.length), ...entries])
  }
  const pairs = Object.entries(value as Record<string, Packed>)
  return Buffer.concat([
    mapHead(pairs.length),
    ...pairs.flatMap(([key, entry]) => [encodeExactly(key), encodeExactly(entry)]),
  ])
}

export function listHead(length: number): Buffer {
  return head(length, 0x90, 15, [undefined, 0xdc, 0xdd])
}

export function mapHead(length: number): Buffer {
  return head(length, 0x80, 15, [undefined, 0xde, 0xdf])
}

/** The head of what has a length: a short form up to `shortMost`, else 8, 16 or 32 bits, where there are such. */
function head(
  length: number,
  short: number,
  shortMost: number,
  [bits8, bits16, bits32]: (number | undefined)[],
): Buffer {
  if (length <= shortMost) return Buffer.from([short | length])
  if (bits8 !== undefined && length < 0x100) return Buffer.from([bits8, length])
  if (length < 0x10000) return Buffer.from([bits16 as number, length >> 8, length & 0xff])
  const bytes = Buffer.alloc(5)
  bytes[0] = bits32 as number
  bytes.writeUInt32BE(length, 1)
  return bytes
}

function encodeInteger(value: number): Buffer {
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`not written by Parley: ${value}`)
  if (value < 0x80) return Buffer.from([value])
  if (value < 0x100) return Buffer.from([0xcc, value])
  if (value < 0x10000) return Buffer.from([0xcd, value >> 8, value & 0xff])
  const bytes = Buffer.alloc(value < 0x1_0000_0000 ? 5 : 9)
  if (bytes.length === 5) {
    bytes[0] = 0xce
    bytes.writeUInt32BE(value, 1)
  } else {
    bytes[0] = 0xd3
    bytes.writeBigInt64BE(BigInt(value), 1)
  }
  return bytes
}

/** Throws on every format that Parley does not write, and on bytes behind the value. */
export function decodeExactly(bytes: Uint8Array): Packed {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  const take = (count: number) => {
    if (at + count > buffer.length) throw new Error('cut short')
    at += count
    return buffer.subarray(at - count, at)
  }
  const size = (count: 1 | 2 | 4) => take(count).readUIntBE(0, count)
  const list = (length: number): Packed[] => Array.from({ length }, read)
  const map = (length: number): Record<string, Packed> => {
    const record: Record<string, Packed> = {}
    for (let i = 0; i < length; i++) {
      const key = read()
      if (typeof key !== 'string' || key in record) throw new Error(`a key ${String(key)}`)
      record[key] = read()
    }
    return record
  }
  function read(): Packed {
    const byte = size(1)
    if (byte < 0x80) return byte
    if (byte < 0x90) return map(byte & 0x0f)
    if (byte < 0xa0) return list(byte & 0x0f)
    if (byte < 0xc0) return take(byte & 0x1f).toString('utf8')
    switch (byte) {
      case 0xc0:
        return null
      case 0xc2:
      case 0xc3:
        return byte === 0xc3
      case 0xc4:
        return Uint8Array.from(take(size(1)))
      case 0xc5:
        return Uint8Array.from(take(size(2)))
      case 0xcc:
        return size(1)
      case 0xcd:
        return size(2)
      case 0xce:
        return size(4)
      case 0xd3:
        return Number(take(8).readBigInt64BE(0))
      case 0xd9:
        return take(size(1)).toString('utf8')
      case 0xda:
        return take(size(2)).toString('utf8')
      case 0xdc:
        return list(size(2))
      case 0xdd:
        return list(size(4))
      case 0xde:
        return map(size(2))
      default:
        throw new Error(`Parley does not write 0x${byte.toString(16)}`)
    }
  }
  const value = read()
  if (at !== buffer.length) throw new Error(`${buffer.length - at} bytes behind the value`)
  return value
}
