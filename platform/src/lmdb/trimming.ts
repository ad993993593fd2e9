import { decodeOffset, encodeOffset, nameKey } from './keys.ts'
import type { Store } from './log-file.ts'
import type { StoredRecords } from './stored-records.ts'
import type { Writer } from './writer.ts'

/** Where a partition begins, and the removing of what lies before. */
export interface Trimming {
  readonly earliest: number
  /** Resolves when `earliest` is stored; does nothing when it is there already. Rejects when it was not stored. */
  trim(before: number): Promise<void>
  /** Ends the removing; what is left is removed after the next opening. */
  stop(): void
}

/** Records taken away by one transaction, so that appends between them wait for no more than this. */
const removeStep = 256

/** Throws when the stored beginning is damaged. */
export function openTrimming(parts: {
  topic: string
  partition: number
  meta: Store
  stored: StoredRecords
  writer: Writer
}): Trimming {
  const { meta, stored, writer } = parts
  const key = nameKey('earliest', parts.topic, parts.partition)
  let earliest = readEarliest()
  /** Trims the disk has not answered yet. */
  const inFlight = new Set<{ before: number; stored: Promise<void> }>()
  let removing = false
  let stopped = false

  function readEarliest(): number {
    const bytes = meta.getBinary(key)
    if (bytes === undefined) return 0
    const offset = decodeOffset(key, bytes)
    if (offset !== null) return offset
    throw new Error(`${parts.topic}/${parts.partition}: the stored earliest offset is damaged`)
  }

  async function trim(before: number): Promise<void> {
    if (before <= earliest) return
    for (const higher of inFlight) if (higher.before >= before) return higher.stored
    const one = { before, stored: store(before) }
    inFlight.add(one)
    try {
      await one.stored
    } finally {
      inFlight.delete(one)
    }
    remove()
  }

  function store(before: number): Promise<void> {
    return writer.submit({
      kind: 'upkeep',
      bytes: 0,
      put: () => [meta.put(key, encodeOffset(key, before))],
      done() {
        earliest = before
      },
      recover() {
        earliest = readEarliest()
      },
    })
  }

  /** One step after the other until nothing before `earliest` is left; a failed step waits for the next trim. */
  function remove(): void {
    if (removing || stopped) return
    const keys = stored.keysBefore(earliest, removeStep)
    if (keys.length === 0) return
    removing = true
    const step = writer.submit({
      kind: 'upkeep',
      bytes: 0,
      put: () => keys.map((one) => stored.remove(one)),
      done() {},
      recover() {},
    })
    const settled = () => {
      removing = false
    }
    step.then(settled, settled)
    step.then(remove, () => {})
  }

  remove()

  return {
    get earliest() {
      return earliest
    },
    trim,
    stop() {
      stopped = true
    },
  }
}
