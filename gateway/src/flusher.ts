import type { Outbound, Outlet } from './outbound.ts'

/**
 * Writing happens here and nowhere else: once a turn of the loop, from `setImmediate`. Inside a message callback the
 * sender's cork would make each message to another socket a write of its own, from which a busy room never recovers.
 */
export interface Flusher extends Outlet {
  /** Work that is done before writing: what it has for connections leaves in the same turn. */
  before(work: () => void): void
  schedule(): void
}

export function createFlusher(): Flusher {
  const dirty = new Set<Outbound>()
  const works: (() => void)[] = []
  let scheduled = false
  let writing = false

  function flush(): void {
    scheduled = false
    writing = true
    try {
      for (const work of works) work()
      for (const outbound of dirty) {
        dirty.delete(outbound)
        outbound.flush()
      }
    } finally {
      writing = false
    }
  }

  function schedule(): void {
    if (scheduled || writing) return
    scheduled = true
    setImmediate(flush)
  }

  return {
    add(outbound) {
      dirty.add(outbound)
      schedule()
    },
    before: (work) => void works.push(work),
    schedule,
    get writing() {
      return writing
    },
  }
}
