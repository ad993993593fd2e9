import type { Cursor } from '@parley/proto/cursor-records'

/** A read position that is not settled: not tried yet, or ahead of what the projection has written. */
export interface WaitingCursor extends Cursor {
  /** The first record that said so of this conversation and user, or an earlier position of it. */
  readonly offset: number
  readonly sinceMs: number
  tryAtMs: number
  /** The wait before the next try. */
  delayMs: number
  /** Set when its time is over: where the projection must have been for it to be given up. */
  outcomeAt: EventsEnd | undefined
}

/** The end of a partition of the events log, as it was at some moment. */
export interface EventsEnd {
  partition: number
  next: number
}

const firstDelayMs = 20
const maxDelayMs = 1_000

/**
 * The cursors of one partition that have been read and not been settled, coalesced: of several of one conversation and
 * user the greatest counts ([G9]). Pure; times are milliseconds of any one clock.
 */
export class WaitingCursors {
  readonly #waiting = new Map<string, WaitingCursor>()
  #next: number

  /** `start` is the offset of the first record to come. */
  constructor(start: number) {
    this.#next = start
  }

  get size(): number {
    return this.#waiting.size
  }

  /** The offset of the record to come. */
  get next(): number {
    return this.#next
  }

  /** What stands before this offset is settled. Entries keep the place of their first record, so the first is the oldest. */
  get settledBefore(): number {
    const oldest = this.#waiting.values().next().value
    return oldest?.offset ?? this.#next
  }

  /** Takes in the record `next`. */
  add(cursors: readonly Cursor[], nowMs: number): void {
    const offset = this.#next
    for (const { conversation, user, seq, head } of cursors) {
      const key = conversation + user
      const present = this.#waiting.get(key)
      if (present !== undefined && seq <= present.seq) continue
      // A greater position waits anew, as an entry of its own: what was found of the lesser one says nothing of it.
      const times = { sinceMs: nowMs, tryAtMs: nowMs, delayMs: firstDelayMs }
      const place = present?.offset ?? offset
      const what = { conversation, user, seq, head }
      const cursor = { ...what, offset: place, ...times, outcomeAt: undefined }
      this.#waiting.set(key, cursor)
    }
    this.#next += 1
  }

  /** Those to be tried now. */
  due(nowMs: number): WaitingCursor[] {
    return [...this.#waiting.values()].filter((cursor) => cursor.tryAtMs <= nowMs)
  }

  /** When the next is to be tried; undefined when none waits. */
  nextTryMs(): number | undefined {
    let nextMs: number | undefined
    for (const { tryAtMs } of this.#waiting.values()) nextMs = Math.min(nextMs ?? tryAtMs, tryAtMs)
    return nextMs
  }

  /** Nothing when a greater one has taken its place meanwhile: that one waits on. */
  settle(cursor: WaitingCursor): void {
    const key = cursor.conversation + cursor.user
    if (this.#waiting.get(key) === cursor) this.#waiting.delete(key)
  }

  /** It was tried in vain: again later, and less and less often. */
  defer(cursor: WaitingCursor, nowMs: number): void {
    cursor.tryAtMs = nowMs + cursor.delayMs
    cursor.delayMs = Math.min(maxDelayMs, cursor.delayMs * 2)
  }
}
