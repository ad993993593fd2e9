import type { Run } from './reader.ts'

const maxFrames = 256
const maxBytes = 256 * 1024

/** The last events of a room, without a hole, kept while readers wait for their resume page. */
export class RecentFrames {
  /** The seq of the first frame kept. */
  first: number
  #frames: Uint8Array[] = []
  #bytes = 0

  constructor(first: number) {
    this.first = first
  }

  /** Those of a run that follow `before`, the head so far. */
  add(run: Run, before: number): void {
    for (const frame of run.frames.slice(Math.max(0, before + 1 - run.first))) {
      this.#frames.push(frame)
      this.#bytes += frame.length
    }
    while (this.#frames.length > maxFrames || this.#bytes > maxBytes) {
      this.#bytes -= this.#frames.shift()?.length ?? 0
      this.first += 1
    }
  }

  run(): Run {
    return { first: this.first, frames: this.#frames.slice(), removed: [], joined: 0, updated: 0 }
  }
}
