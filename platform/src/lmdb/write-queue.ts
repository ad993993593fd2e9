import type { Write, WriterLimits } from './writer.ts'

export interface Waiting {
  write: Write
  resolve(): void
  reject(error: Error): void
}

/** What waits for the disk, within its bounds. */
export interface WriteQueue {
  readonly empty: boolean
  /** Why one more write can't be taken in, or null. */
  fullFor(write: Write): string | null
  push(waiting: Waiting): void
  /** The next transaction's writes: at least one, and within `maxTransactionBytes`. */
  take(): Waiting[]
  takeAll(): Waiting[]
  /** Tells the outcome of writes that were taken; until then they count. */
  settle(taken: readonly Waiting[], error: Error | null): void
}

export function createWriteQueue(limits: WriterLimits): WriteQueue {
  const queue: Waiting[] = []
  let pendingBytes = 0

  return {
    get empty() {
      return queue.length === 0
    },
    fullFor({ bytes }) {
      if (queue.length >= limits.maxPendingWrites) return `${queue.length} writes wait for the disk`
      if (pendingBytes === 0 || pendingBytes + bytes <= limits.maxPendingBytes) return null
      return `${pendingBytes} bytes wait for the disk, the bound is ${limits.maxPendingBytes}`
    },
    push(waiting) {
      pendingBytes += waiting.write.bytes
      queue.push(waiting)
    },
    take() {
      let bytes = 0
      let count = 0
      for (const { write } of queue) {
        if (count > 0 && bytes + write.bytes > limits.maxTransactionBytes) break
        bytes += write.bytes
        count += 1
      }
      return queue.splice(0, count)
    },
    takeAll: () => queue.splice(0),
    settle(taken, error) {
      for (const { write, resolve, reject } of taken) {
        pendingBytes -= write.bytes
        if (error === null) {
          write.done()
          resolve()
        } else reject(error)
      }
    },
  }
}
