import type { Run } from './reader.ts'

const maxFrames = 256
const maxBytes = 256 * 1024
/** Ticks that events are kept after somebody joined. */
const joinedTicks = 2

/**
 * The last events of a room, without a hole: kept while readers wait for their page or their introduction, and for a
 * few seconds after somebody joined, whose notice comes behind the event.
 */
export class RecentFrames {
  /** The seq of the first frame kept. */
  #first = 0
  #frames: Uint8Array[] = []
  #bytes = 0
  #waiting = 0
  #ticks = 0

  /** A reader waits, in a room with this head. */
  hold(head: number): void {
    if (!this.#keeps) this.#begin(head + 1)
    this.#waiting += 1
  }

  release(): void {
    this.#waiting -= 1
    if (!this.#keeps) this.#begin(0)
  }

  /** Those of a run that follow `before`, the head so far. */
  add(run: Run, before: number): void {
    const from = Math.max(run.first, before + 1)
    if (run.joined > before) {
      if (!this.#keeps) this.#begin(from)
      this.#ticks = joinedTicks
    }
    if (!this.#keeps) return
    for (const frame of run.frames.slice(from - run.first)) {
      this.#frames.push(frame)
      this.#bytes += frame.length
    }
    while (this.#frames.length > maxFrames || this.#bytes > maxBytes) {
      this.#bytes -= this.#frames.shift()?.length ?? 0
      this.#first += 1
    }
  }

  /** There was a hole: nothing before this seq is kept. */
  forget(first: number): void {
    this.#begin(first)
  }

  tick(): void {
    if (this.#ticks === 0) return
    this.#ticks -= 1
    if (!this.#keeps) this.#begin(0)
  }

  /** All that is kept, if it reaches back to `seq`. */
  from(seq: number): Run | null {
    if (!this.#keeps || seq < this.#first) return null
    return { first: this.#first, frames: this.#frames.slice(), removed: [], joined: 0, updated: 0 }
  }

  get #keeps(): boolean {
    return this.#waiting > 0 || this.#ticks > 0
  }

  #begin(first: number): void {
    this.#first = first
    this.#frames = []
    this.#bytes = 0
  }
}
