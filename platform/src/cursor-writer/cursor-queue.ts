import type { Cursor } from '@parley/proto/cursor-records'

interface Waiting {
  cursor: Cursor
  /** Rises with each entry and stays when a later position takes the entry over. */
  ticket: number
}

/** The cursors of one partition that await the log: one a conversation and user, in the order in which each came first. */
export class CursorQueue {
  readonly #waiting = new Map<string, Waiting>()
  #issued = 0
  #done = 0

  get size(): number {
    return this.#waiting.size
  }

  /** Every entry up to this ticket has been appended. */
  get done(): number {
    return this.#done
  }

  /** The last ticket given: with it everything put so far is done. */
  get issued(): number {
    return this.#issued
  }

  has(cursor: Cursor): boolean {
    return this.#waiting.has(keyOf(cursor))
  }

  /** [G9] Of several positions the greatest stays. */
  put(cursor: Cursor): void {
    const key = keyOf(cursor)
    const present = this.#waiting.get(key)
    if (present === undefined) {
      this.#issued += 1
      this.#waiting.set(key, { cursor, ticket: this.#issued })
    } else if (cursor.seq > present.cursor.seq) present.cursor = cursor
  }

  /** Takes out the first entries, at most `limit`. */
  take(limit: number): { cursors: Cursor[]; ticket: number } {
    const cursors: Cursor[] = []
    let ticket = this.#done
    for (const [key, waiting] of this.#waiting) {
      if (cursors.length === limit) break
      cursors.push(waiting.cursor)
      ticket = waiting.ticket
      this.#waiting.delete(key)
    }
    return { cursors, ticket }
  }

  finish(ticket: number): void {
    this.#done = Math.max(this.#done, ticket)
  }
}

function keyOf({ conversation, user }: Cursor): string {
  return conversation + user
}
