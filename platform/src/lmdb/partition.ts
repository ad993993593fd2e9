import {
  type Appended,
  type LogRecord,
  type NewRecord,
  OffsetOutOfRange,
} from '@parley/platform/ports/log'
import type { Store } from './log-file.ts'
import { openStoredRecords, type StoredRecordsParts } from './stored-records.ts'
import { openTrimming } from './trimming.ts'
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

export interface PartitionParts extends StoredRecordsParts {
  meta: Store
  writer: Writer
}

export function openPartition(parts: PartitionParts): Partition {
  const { topic, partition, writer } = parts
  const stored = openStoredRecords(parts)
  const trimming = openTrimming({ ...parts, stored })
  const arrivals = createArrivals()
  let next = storedNext()
  /** Where the next append goes; ahead of `next` while a transaction is in flight. */
  let appendAt = next

  /** Trimmed records may be gone to the last one, so `earliest` counts too: no offset is given twice. */
  function storedNext(): number {
    return Math.max((stored.last() ?? -1) + 1, trimming.earliest)
  }

  function publish(to: number): void {
    next = to
    arrivals.tell()
  }

  function outOfRange(offset: number): OffsetOutOfRange {
    return new OffsetOutOfRange(topic, partition, offset, trimming.earliest, next)
  }

  async function append(records: NewRecord[]): Promise<Appended> {
    if (records.length === 0) {
      throw new RangeError(`${topic}/${partition}: an append of no records`)
    }
    const encoded = stored.encode(records)
    let offset = -1
    await writer.submit({
      kind: 'append',
      bytes: encoded.reduce((sum, { length }) => sum + length, 0),
      put() {
        offset = appendAt
        appendAt += encoded.length
        return stored.put(offset, encoded)
      },
      done: () => publish(offset + encoded.length),
      recover() {
        appendAt = storedNext()
        if (appendAt !== next) publish(appendAt)
      },
    })
    return { offset }
  }

  return {
    topic,
    partition,
    get earliest() {
      return trimming.earliest
    },
    get next() {
      return next
    },
    append,
    read(position) {
      const held = position >= trimming.earliest && position <= next
      if (!Number.isSafeInteger(position) || !held) throw outOfRange(position)
      return stored.read(position, next)
    },
    waitFor: (position, signal) => arrivals.wait(() => position < next, signal),
    async trim(before) {
      if (!Number.isSafeInteger(before) || before < 0 || before > next) throw outOfRange(before)
      await trimming.trim(before)
    },
    stopRemoving: trimming.stop,
  }
}

/** Wakes who waits for more; no polling. */
function createArrivals() {
  const waiting = new Set<() => void>()
  return {
    tell(): void {
      for (const wake of waiting) wake()
    },
    wait(come: () => boolean, signal: AbortSignal): Promise<void> {
      if (come() || signal.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        const wake = () => {
          waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        waiting.add(wake)
        signal.addEventListener('abort', wake)
      })
    },
  }
}
