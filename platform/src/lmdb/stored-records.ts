import type { LogRecord, NewRecord } from '@parley/platform/ports/log'
import { offsetKey, offsetOfKey } from './keys.ts'
import type { Store } from './log-file.ts'
import { decodeRecord, encodeRecord, partitionSeed, seal } from './record-format.ts'

/** The records of one partition as LMDB holds them. The changes are queued; the writer makes them durable. */
export interface StoredRecords {
  /** The offset of the last record stored, or null when there is none. */
  last(): number | null
  /** Throws RangeError when a value is above `maxRecordBytes`. */
  encode(records: NewRecord[]): Buffer[]
  /** Each promise says whether the record was stored: not where one with this offset or a later one exists. */
  put(offset: number, encoded: Buffer[]): Promise<boolean>[]
  /**
   * Records from `from` up to but not including `to`, as many as the bounds allow and at least one. Throws an Error
   * that names the offset where a record is missing or damaged.
   */
  read(from: number, to: number): LogRecord[]
  /** At most `limit` keys of records before `before`. */
  keysBefore(before: number, limit: number): Buffer[]
  remove(key: Buffer): Promise<boolean>
}

export interface StoredRecordsParts {
  topic: string
  partition: number
  epoch: string
  records: Store
  maxRecordBytes: number
  /** Bounds of one `read`; a single record may exceed the bytes. */
  maxReadBytes: number
  maxReadRecords: number
}

export function openStoredRecords(parts: StoredRecordsParts): StoredRecords {
  const { records } = parts
  const name = `${parts.topic}/${parts.partition}`
  const seed = partitionSeed(parts.topic, parts.partition)

  function readOne(offset: number): LogRecord {
    const key = offsetKey(offset)
    const bytes = records.getBinary(key)
    if (bytes === undefined) throw new Error(`${name}: the record at offset ${offset} is missing`)
    const record = decodeRecord(bytes, seed, key)
    if (typeof record === 'string') {
      throw new Error(`${name}: the record at offset ${offset} ${record}`)
    }
    return { offset, ...record }
  }

  return {
    last() {
      for (const key of records.getKeys({ reverse: true, limit: 1 })) return offsetOfKey(key)
      return null
    },
    encode: (news) =>
      news.map(({ headers, value }) => {
        if (value.byteLength > parts.maxRecordBytes) {
          throw new RangeError(
            `${name}: a record of ${value.byteLength} bytes, the bound is ${parts.maxRecordBytes}`,
          )
        }
        return encodeRecord({ ...headers, epoch: parts.epoch }, value)
      }),
    put: (offset, encoded) =>
      encoded.map((bytes, index) => {
        const key = offsetKey(offset + index)
        seal(bytes, seed, key)
        // `append` fills pages to the end, and refuses a key that is not above the last one.
        return records.put(key, bytes, { append: true })
      }),
    read(from, to) {
      const found: LogRecord[] = []
      let bytes = 0
      for (let offset = from; offset < to && found.length < parts.maxReadRecords; offset++) {
        const record = readOne(offset)
        bytes += record.value.byteLength
        if (found.length > 0 && bytes > parts.maxReadBytes) break
        found.push(record)
      }
      return found
    },
    keysBefore: (before, limit) => [...records.getKeys({ end: offsetKey(before), limit })],
    remove: (key) => records.remove(key),
  }
}
