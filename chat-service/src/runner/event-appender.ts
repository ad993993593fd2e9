import type { Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import { type EventEntry, encodeEventRecord } from '@parley/proto/event-records'
import { comparePositions, isBefore, type Position } from '@parley/proto/position'
import { recordSchema, topics } from '@parley/proto/record-headers'
import { type Backoff, pause, wait } from './backoff.ts'

export interface EventAppenderParts {
  log: Log
  logger: Logger
  partition: number
  /** The end of the assignment: nothing is appended after it. */
  signal: AbortSignal
  /** [R5] Stores C. Rejects when the partition was lost. */
  commit(next: number): Promise<void>
  /** The lowest position that is not yet decided: what has come in so far, less what waits. */
  frontier(): Position
  /** Told when an append or a commit can never succeed ([R14]). */
  failed(error: Error): void
  /** Told when space in the queue became free. */
  appended(): void
}

export interface EventAppenderBounds {
  /** Bytes of events in one record; a log's greatest record must be above this plus one event. */
  maxRecordBytes: number
  backoff: Backoff
  /** C is stored this long after the first append it follows, once for all of that time. */
  commitAfterMs: number
}

/**
 * The way of outcomes into the `events` log. [R3] One append in flight: what is decided meanwhile goes out in the
 * next, and an append whose fate is unknown is repeated until it is known, so records may double but never miss.
 */
export class EventAppender {
  /** Bytes of events not yet appended. */
  waitingBytes = 0
  readonly #parts: EventAppenderParts
  readonly #bounds: EventAppenderBounds
  #waiting: { position: Position; entry: EventEntry }[] = []
  #covered: Position
  #committed: number
  #active = false
  #running: Promise<void> | undefined
  #committing: Promise<void> | undefined

  /** `from` is C: everything before it is covered by records already in the log. */
  constructor(parts: EventAppenderParts, bounds: EventAppenderBounds, from: Position) {
    this.#parts = parts
    this.#bounds = bounds
    this.#covered = from
    this.#committed = from.offset
  }

  add(position: Position, entry: EventEntry): void {
    this.#waiting.push({ position, entry })
    this.waitingBytes += entryBytes(entry)
  }

  /** Appends what there is, if nothing is in flight; else it goes out after that. */
  flush(): void {
    if (this.#active || this.#parts.signal.aborted) return
    this.#active = true
    this.#running = this.#run().catch((error: unknown) => this.#parts.failed(asError(error)))
  }

  /**
   * Resolves when nothing is in flight any more; after the assignment's end nothing new begins, but for storing the last
   * C: until then the partition may still be ours to the group.
   */
  async settled(): Promise<void> {
    await this.#running
    await this.#committing
    const next = this.#covered.offset
    if (next > this.#committed) await this.#parts.commit(next).catch(() => undefined)
  }

  /** Leaves `#active` set when it throws: the partition is stopping. */
  async #run(): Promise<void> {
    for (;;) {
      const next = this.#parts.signal.aborted ? undefined : this.#next()
      if (next === undefined) {
        this.#active = false
        return
      }
      const appended = await this.#append(next.value)
      if (!appended) continue
      this.#waiting.splice(0, next.count)
      this.waitingBytes -= next.bytes
      this.#covered = next.upTo
      this.#commit()
      this.#parts.appended()
    }
  }

  /** [R2] One record: as many events as fit, and the position up to which nothing is missing. */
  #next(): { value: Buffer; count: number; bytes: number; upTo: Position } | undefined {
    let count = 0
    let bytes = 0
    for (const { entry } of this.#waiting) {
      const size = entryBytes(entry)
      if (count > 0 && bytes + size > this.#bounds.maxRecordBytes) break
      count += 1
      bytes += size
    }
    let upTo = this.#parts.frontier()
    for (let i = count; i < this.#waiting.length; i++) {
      const left = this.#waiting[i]?.position
      if (left && isBefore(left, upTo)) upTo = left
    }
    if (isBefore(upTo, this.#covered)) upTo = this.#covered
    if (count === 0 && comparePositions(upTo, this.#covered) === 0) return undefined
    const events = this.#waiting.slice(0, count).map((w) => w.entry)
    return { value: encodeEventRecord({ upTo, events }), count, bytes, upTo }
  }

  /** False when the assignment ended first. */
  async #append(value: Buffer): Promise<boolean> {
    const { log, partition, signal, logger } = this.#parts
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await log.append(topics.events, partition, [{ headers: { schema: recordSchema }, value }])
        return true
      } catch (error) {
        if (error instanceof RangeError) throw error
        logger.warn({ err: error, partition, attempt }, 'appending events failed; trying again')
        await pause(this.#bounds.backoff, attempt, signal)
      }
    }
    return false
  }

  /** [R5] C follows `upTo`, never beyond it; a late commit only means more to decide again, so it can wait. */
  #commit(): void {
    if (this.#committing !== undefined || this.#parts.signal.aborted) return
    if (this.#covered.offset <= this.#committed) return
    this.#committing = this.#commitSoon().then((committed) => {
      this.#committing = undefined
      if (committed) this.#commit()
    })
  }

  /** False when it failed or the assignment ended: the next append tries again. */
  async #commitSoon(): Promise<boolean> {
    const { commit, signal, logger } = this.#parts
    await wait(this.#bounds.commitAfterMs, signal)
    if (signal.aborted) return false
    const next = this.#covered.offset
    try {
      await commit(next)
      this.#committed = next
      return true
    } catch (error) {
      if (!signal.aborted) logger.warn({ err: error, next }, 'committing the offset failed')
      return false
    }
  }
}

const entryOverheadBytes = 48

function entryBytes(entry: EventEntry): number {
  return entry.frame.length + entryOverheadBytes
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
