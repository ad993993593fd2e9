import type { ConversationPublish } from '@parley/proto/fan-out'
import type { Run } from './reader.ts'

export function runOf({ firstSeq, frames, removed, joined, updated }: ConversationPublish): Run {
  return { first: firstSeq, frames, removed, joined: joined ?? 0, updated: updated ?? 0 }
}

/** Publishes that follow each other, as one. */
export function merged(inbox: readonly Run[]): Run[] {
  const runs: Run[] = []
  let open: OpenRun | null = null
  for (const run of inbox) {
    if (open !== null && run.frames.length > 0 && run.first === open.first + open.frames.length) {
      open.frames.push(...run.frames)
      open.removed.push(...run.removed)
      open.joined = Math.max(open.joined, run.joined)
      open.updated = Math.max(open.updated, run.updated)
      continue
    }
    const copy: OpenRun = { ...run, frames: [...run.frames], removed: [...run.removed] }
    runs.push(copy)
    open = run.frames.length > 0 ? copy : null
  }
  return runs
}

interface OpenRun {
  first: number
  frames: Uint8Array[]
  removed: Run['removed'][number][]
  joined: number
  updated: number
}
