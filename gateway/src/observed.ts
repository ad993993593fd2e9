import type { Run } from './reader.ts'

/** Users whose removal is remembered; beyond, who joins from an older snapshot asks the directory anew. */
const maxRemovals = 256

/** What of a conversation was seen go by without a hole, and who was removed in it. */
export class Observed {
  /** Every event from here up to the head was seen go by. */
  from: number
  /** The last removal seen of each user since `from`. */
  readonly #removals = new Map<string, number>()

  constructor(from: number) {
    this.from = from
  }

  /** There was a hole: what is known begins anew. */
  forget(from: number): void {
    this.from = from
    this.#removals.clear()
  }

  /** Takes in the removals of a run that ends at `head`, and gives those after `before` by user, ascending. */
  note(run: Run, before: number, head: number): Map<string, number[]> | undefined {
    if (run.removed.length === 0) return undefined
    const byUser = new Map<string, number[]>()
    for (const { seq, user } of run.removed) {
      if (seq <= before) continue
      const seqs = byUser.get(user)
      if (seqs === undefined) byUser.set(user, [seq])
      else seqs.push(seq)
      this.#removals.set(user, seq)
    }
    if (this.#removals.size > maxRemovals) this.forget(head + 1)
    return byUser
  }

  /** Whether the user is known to have been removed after event `seq`. */
  removedSince(user: string, seq: number): boolean {
    return (this.#removals.get(user) ?? 0) > seq
  }

  /** Whether who was inside as of `head` is known to be inside now. */
  proves(user: string, head: number): boolean {
    return this.from <= head + 1 && !this.removedSince(user, head)
  }
}
