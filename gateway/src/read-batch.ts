import type { Cursor } from '@parley/proto/cursor-records'

/** A position that was taken in; `A` is what its author must be answered with. */
export interface GatheredRead<A> extends Cursor {
  /** The connection that said it, which is not told of it. */
  origin: string
  answers: A[]
}

/** Positions of one short while: of several for one conversation and user the greatest ([G9]). Pure. */
export class ReadBatch<A> {
  #reads = new Map<string, GatheredRead<A>>()

  get size(): number {
    return this.#reads.size
  }

  has({ conversation, user }: Cursor): boolean {
    return this.#reads.has(conversation + user)
  }

  put(cursor: Cursor, origin: string, answer: A | null): void {
    const key = cursor.conversation + cursor.user
    let read = this.#reads.get(key)
    if (read === undefined) {
      read = { ...cursor, origin, answers: [] }
      this.#reads.set(key, read)
    }
    if (cursor.seq > read.seq) {
      read.seq = cursor.seq
      read.head = cursor.head
      read.origin = origin
    }
    if (answer !== null) read.answers.push(answer)
  }

  take(): GatheredRead<A>[] {
    const reads = [...this.#reads.values()]
    this.#reads = new Map()
    return reads
  }
}
