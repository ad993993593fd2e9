/**
 * [R1] Where a command stands in its partition: which log, which record, which place in the record.
 * `epoch` is the number of the log's identity ([R15]); `offset` is the record's; `index` counts from 0.
 *
 * A position also serves as a bound: `upTo` and a checkpoint's `S` are the first position *not* covered, so
 * "all of record 7" is `{offset: 8, index: 0}` whatever number of commands it holds.
 */
export interface Position {
  readonly epoch: number
  readonly offset: number
  readonly index: number
}

/** Negative when `a` stands before `b`, 0 when they are the same. Epochs compare first ([R15]). */
export function comparePositions(a: Position, b: Position): number {
  return a.epoch - b.epoch || a.offset - b.offset || a.index - b.index
}

export function isBefore(a: Position, b: Position): boolean {
  return comparePositions(a, b) < 0
}

/** The first position of a log. */
export function startOf(epoch: number): Position {
  return { epoch, offset: 0, index: 0 }
}
