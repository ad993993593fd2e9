import type { Log } from '@parley/platform/ports/log'
import type { Log as Logger } from '@parley/platform/process/logs'
import type { Metrics } from '@parley/platform/process/metrics'
import { type Cursor, encodeCursorRecord } from '@parley/proto/cursor-records'
import { partitionOf } from '@parley/proto/partition'
import { recordSchema, topics } from '@parley/proto/record-headers'
import { CursorQueue } from './cursor-queue.ts'
import { cursorWriterMetrics } from './metrics.ts'

/** The way of read positions into the `cursors` log, coalesced. */
export interface CursorWriter {
  /**
   * Takes a position in; the caller has clamped it to a head it knows of, and checked membership. False when there is no
   * room, or the writer is closed: nothing was kept then, and the same may be offered again.
   */
  advance(cursor: Cursor): boolean
  /**
   * Resolves once everything taken in before this call is durable, and hastens it; with a conversation, only what goes to
   * the same partition as that. Waits for as long as the log is away; rejects only when some of it was given up
   * (`close`, or a record that the log refuses for ever).
   */
  flushed(conversation?: string): Promise<void>
  /** Takes nothing more, tries once more to append what waits, and gives up the rest. */
  close(): Promise<void>
}

export interface CursorWriterOptions {
  log: Pick<Log, 'partitions' | 'append'>
  logger: Pick<Logger, 'warn' | 'error'>
  metrics: Metrics
  /** How long positions of a partition are gathered before they are appended; 0 for what comes in one turn of the loop. */
  flushMs: number
  /** Positions that may wait, of all partitions together: about 400 bytes each. */
  maxWaiting?: number
  /** 42 bytes each. */
  maxCursorsPerRecord?: number
  /** Waits between the tries of one append: random, up to a bound that doubles from the first to the last. */
  retry?: { firstMs: number; maxMs: number }
}

interface Waiter {
  ticket: number
  resolve(): void
  reject(error: Error): void
}

interface Partition {
  number: number
  queue: CursorQueue
  timer: NodeJS.Timeout | undefined
  /** The append in flight and those that follow it without a pause. */
  running: Promise<void> | undefined
  hurried: boolean
  waiters: Waiter[]
}

export function createCursorWriter(options: CursorWriterOptions): CursorWriter {
  const { log, logger, flushMs } = options
  const { maxWaiting = 100_000, maxCursorsPerRecord = 5_000 } = options
  const { firstMs, maxMs } = options.retry ?? { firstMs: 50, maxMs: 5_000 }
  const metrics = cursorWriterMetrics(options.metrics)
  const closing = new AbortController()
  const partitions: Partition[] = Array.from(
    { length: log.partitions(topics.cursors) },
    (_, number) => ({
      number,
      queue: new CursorQueue(),
      timer: undefined,
      running: undefined,
      hurried: false,
      waiters: [],
    }),
  )
  let waiting = 0

  function schedule(p: Partition): void {
    if (p.timer !== undefined || p.running !== undefined) return
    p.timer = setTimeout(() => start(p), flushMs).unref()
  }

  function start(p: Partition): void {
    clearTimeout(p.timer)
    p.timer = undefined
    p.running ??= run(p).finally(() => {
      p.running = undefined
      if (p.queue.size === 0) return
      if (p.hurried) start(p)
      else schedule(p)
    })
  }

  /** Until nothing waits, or what does may go on gathering. */
  async function run(p: Partition): Promise<void> {
    do {
      p.hurried = closing.signal.aborted
      const { cursors, ticket } = p.queue.take(maxCursorsPerRecord)
      if (cursors.length === 0) return
      // What did not fit goes next, at once.
      if (p.queue.size > 0) p.hurried = true
      const failed = await append(p.number, cursors)
      waiting -= cursors.length
      p.queue.finish(ticket)
      settle(p, failed)
    } while (p.hurried)
  }

  /** Undefined once it is durable; else why it was given up. */
  async function append(partition: number, cursors: readonly Cursor[]): Promise<Error | undefined> {
    const value = encodeCursorRecord(cursors)
    for (let attempt = 0; ; attempt++) {
      const last = closing.signal.aborted
      try {
        await log.append(topics.cursors, partition, [{ headers: { schema: recordSchema }, value }])
        metrics.appended(cursors.length)
        return undefined
      } catch (error) {
        metrics.appendFailed()
        if (last || error instanceof RangeError) {
          metrics.lost(cursors.length)
          logger.error({ err: error, partition, cursors: cursors.length }, 'cursors are lost')
          return new Error('read positions were given up', { cause: error })
        }
        if (attempt % 10 === 0) logger.warn({ err: error, partition }, 'cursors wait for the log')
        const boundMs = Math.min(maxMs, firstMs * 2 ** Math.min(attempt, 30))
        await pause(Math.random() * boundMs, closing.signal)
      }
    }
  }

  /** Whoever waits now waits for what was just appended or given up, and perhaps for more. */
  function settle(p: Partition, failed: Error | undefined): void {
    const present = p.waiters
    p.waiters = []
    for (const waiter of present) {
      if (failed !== undefined) waiter.reject(failed)
      else if (waiter.ticket <= p.queue.done) waiter.resolve()
      else p.waiters.push(waiter)
    }
  }

  function flushedPartition(p: Partition): Promise<void> {
    if (p.queue.done >= p.queue.issued) return Promise.resolve()
    const appended = new Promise<void>((resolve, reject) => {
      p.waiters.push({ ticket: p.queue.issued, resolve, reject })
    })
    p.hurried = true
    start(p)
    return appended
  }

  function homeOf(conversation: string): Partition {
    return partitions[partitionOf(conversation, partitions.length)] as Partition
  }

  return {
    advance(cursor) {
      const p = homeOf(cursor.conversation)
      const fresh = !p.queue.has(cursor)
      if (closing.signal.aborted || (fresh && waiting >= maxWaiting)) {
        metrics.refused()
        return false
      }
      if (fresh) waiting += 1
      p.queue.put(cursor)
      schedule(p)
      return true
    },
    async flushed(conversation) {
      const those = conversation === undefined ? partitions : [homeOf(conversation)]
      await Promise.all(those.map(flushedPartition))
    },
    async close() {
      closing.abort()
      for (const p of partitions) {
        while (p.running !== undefined || p.queue.size > 0) {
          p.hurried = true
          start(p)
          await p.running
        }
      }
    },
  }
}

/** Ends early, and without an error, once the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms).unref()
    signal.addEventListener('abort', end)
  })
}
