import { decodeOffset, encodeOffset, nameKey } from './keys.ts'
import type { Store } from './log-file.ts'
import type { Writer } from './writer.ts'

/** The next offset to read of one group in one partition, as stored. */
export interface CommittedOffset {
  /** Null when the group never committed. */
  readonly value: number | null
  /** Resolves when durable. Rejects with RangeError below what was committed before. */
  commit(next: number): Promise<void>
  /** Resolves when no commit is in flight any more, whatever became of it. */
  settled(): Promise<void>
}

export function openCommittedOffset(
  parts: { offsets: Store; writer: Writer },
  group: string,
  place: { topic: string; partition: number },
): CommittedOffset {
  const key = nameKey(group, place.topic, place.partition)
  const name = `${group} on ${place.topic}/${place.partition}`
  let value = stored()
  /** Commits the disk has not answered yet. */
  const inFlight = new Set<{ next: number; submitted: Promise<void> }>()

  function stored(): number | null {
    const bytes = parts.offsets.getBinary(key)
    if (bytes === undefined) return null
    const offset = decodeOffset(key, bytes)
    if (offset === null) throw new Error(`${name}: the committed offset is damaged`)
    return offset
  }

  /** What a later commit must not fall below; of what was refused or dropped nothing stays. */
  function asked(): number {
    let highest = value ?? 0
    for (const { next } of inFlight) highest = Math.max(highest, next)
    return highest
  }

  return {
    get value() {
      return value
    },
    async commit(next) {
      if (!Number.isSafeInteger(next) || next < asked()) {
        throw new RangeError(`${name}: commit of ${next}, already committed ${asked()}`)
      }
      if (next === value) return
      const submitted = parts.writer.submit({
        kind: 'upkeep',
        bytes: 0,
        put: () => [parts.offsets.put(key, encodeOffset(key, next))],
        done() {
          value = next
        },
        recover() {
          value = stored()
        },
      })
      const one = { next, submitted }
      inFlight.add(one)
      try {
        await submitted
      } finally {
        inFlight.delete(one)
      }
    },
    async settled() {
      await Promise.allSettled([...inFlight].map(({ submitted }) => submitted))
    },
  }
}
