import {
  type Appended,
  type LogRecord,
  type NewRecord,
  OffsetOutOfRange,
} from '@parley/platform/ports/log'
import { decodeOffset, encodeOffset, nameKey, offsetKey, offsetOfKey } from './keys.ts'
import type { Store } from './log-file.ts'
import { decodeRecord, encodeRecord, partitionSeed, seal } from './record-format.ts'
import type { Writer } from './writer.ts'

/** One partition: what is stored, its two ends, and who waits for more. */
export interface Partition {
  readonly topic: string
  readonly partition: number
  readonly earliest: number
  /** One past the last durable record; readers never see further. */
  readonly next: number
  append(records: NewRecord[]): Promise<Appended>
  /**
   * Records from `position` on, as many as the bounds allow and at least one; none only when `position` is `next`.
   * Throws OffsetOutOfRange, or an Error that names the offset when a record is missing or damaged.
   */
  read(position: number): LogRecord[]
  /** Resolves when there is a record at `position` or the signal is aborted. */
  waitFor(position: number, signal: AbortSignal): Promise<void>
  trim(before: number): Promise<void>
  /** Ends the removing of trimmed records; what is left of them is removed after the next opening. */
  stopRemoving(): void
}

export interface PartitionParts {
  topic: string
  partition: number
  epoch: string
  records: Store
  meta: Store
  writer: Writer
  maxRecordBytes: number
  /** Bounds of one `read`; a single record may exceed the bytes. */
  maxReadBytes: number
  maxReadRecords: number
}

/** Records taken away by one transaction, so that appends between them wait for no more than this. */
const removeStep = 256

export function openPartition(parts: PartitionParts): Partition {
  const { topic, partition, records, meta, writer } = parts
  const name = `${topic}/${partition}`
  const seed = partitionSeed(topic, partition)
  const earliestKey = nameKey('earliest', topic, partition)
  const waiting = new Set<() => void>()

  let earliest = readEarliest()
  /** What trims in flight will make of `earliest`. */
  let trimmedTo = earliest
  let next = storedNext()
  /** Where the next append goes; ahead of `next` while a transaction is in flight. */
  let appendAt = next
  let removing = false
  let stopped = false

  function readEarliest(): number {
    const stored = meta.getBinary(earliestKey)
    if (stored === undefined) return 0
    const offset = decodeOffset(earliestKey, stored)
    if (offset === null) throw new Error(`${name}: the stored earliest offset is damaged`)
    return offset
  }

  /** Trimmed records may be gone to the last one, so `earliest` counts too: no offset is given twice. */
  function storedNext(): number {
    for (const key of records.getKeys({ reverse: true, limit: 1 })) {
      return Math.max(offsetOfKey(key) + 1, earliest)
    }
    return earliest
  }

  function publish(to: number): void {
    next = to
    for (const wake of waiting) wake()
    waiting.clear()
  }

  function recover(): void {
    appendAt = storedNext()
    if (appendAt !== next) publish(appendAt)
  }

  function append(news: NewRecord[]): Promise<Appended> {
    const encoded = news.map(({ headers, value }) => {
      if (value.byteLength > parts.maxRecordBytes) {
        throw new RangeError(
          `${name}: a record of ${value.byteLength} bytes, the bound is ${parts.maxRecordBytes}`,
        )
      }
      return encodeRecord({ ...headers, epoch: parts.epoch }, value)
    })
    if (encoded.length === 0) throw new RangeError(`${name}: an append of no records`)
    let offset = -1
    return writer
      .submit({
        kind: 'append',
        bytes: encoded.reduce((sum, { length }) => sum + length, 0),
        put() {
          offset = appendAt
          appendAt += encoded.length
          return encoded.map((bytes, index) => {
            const key = offsetKey(offset + index)
            seal(bytes, seed, key)
            // `append` fills pages to the end, and is refused where a record with this offset or a later one exists.
            return records.put(key, bytes, { append: true })
          })
        },
        done: () => publish(offset + encoded.length),
        recover,
      })
      .then(() => ({ offset }))
  }

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

  function read(position: number): LogRecord[] {
    if (!Number.isSafeInteger(position) || position < earliest || position > next) {
      throw new OffsetOutOfRange(topic, partition, position, earliest, next)
    }
    const found: LogRecord[] = []
    let bytes = 0
    while (position < next && found.length < parts.maxReadRecords) {
      const record = readOne(position)
      bytes += record.value.byteLength
      if (found.length > 0 && bytes > parts.maxReadBytes) break
      found.push(record)
      position += 1
    }
    return found
  }

  function waitFor(position: number, signal: AbortSignal): Promise<void> {
    if (position < next || signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = () => {
        waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }

  async function trim(before: number): Promise<void> {
    if (!Number.isSafeInteger(before) || before < 0 || before > next) {
      throw new OffsetOutOfRange(topic, partition, before, earliest, next)
    }
    if (before <= trimmedTo) return
    trimmedTo = before
    await writer.submit({
      kind: 'upkeep',
      bytes: 0,
      put: () => [meta.put(earliestKey, encodeOffset(earliestKey, before))],
      done() {
        earliest = before
      },
      recover() {
        earliest = readEarliest()
        trimmedTo = earliest
      },
    })
    removeTrimmed()
  }

  /** One step after the other until nothing before `earliest` is left; a failed step waits for the next trim. */
  function removeTrimmed(): void {
    if (removing || stopped) return
    const keys = [...records.getKeys({ end: offsetKey(earliest), limit: removeStep })]
    if (keys.length === 0) return
    removing = true
    const step = writer.submit({
      kind: 'upkeep',
      bytes: 0,
      put: () => keys.map((key) => records.remove(key)),
      done() {},
      recover() {},
    })
    step.then(
      () => {
        removing = false
        removeTrimmed()
      },
      () => {
        removing = false
      },
    )
  }

  removeTrimmed()

  return {
    topic,
    partition,
    get earliest() {
      return earliest
    },
    get next() {
      return next
    },
    append: async (news) => append(news),
    read,
    waitFor,
    trim,
    stopRemoving() {
      stopped = true
    },
  }
}
