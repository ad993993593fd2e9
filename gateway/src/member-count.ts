import type { Run } from './reader.ts'

/** Conversations with more members don't show who has read how far. */
export const shownUpToMembers = 100

/**
 * How many members there are after a run that a room with the head `before` takes in; above `shownUpToMembers` no more
 * than a least number. Null when the directory must be asked anew: a run tells who was removed, and of those who joined
 * only that they did.
 */
export function memberCountAfter(count: number | null, run: Run, before: number): number | null {
  if (count === null || run.first > before + 1) return null
  const left = count - run.removed.filter(({ seq }) => seq > before).length
  const exact = count <= shownUpToMembers && run.joined <= before
  return exact || left > shownUpToMembers ? left : null
}
