import type { ErrorCode } from '@parley/proto/errors'
import type { Event, History } from '@parley/proto/frames'
import type { KeptId } from './state.ts'

/** What a command comes to. Expected refusals are values. */
export type Outcome =
  | Accepted
  /** Its id was accepted with this content: by an earlier command, or (`again`) by this very one, in a replay. */
  | { type: 'duplicate'; seq: number; at: number; again: boolean }
  | { type: 'refused'; code: ErrorCode; message: string }
  /** [R7] Decided before and refused then; the state no longer tells why. */
  | { type: 'passed' }

export interface Accepted {
  type: 'accepted'
  event: Event
  hash: string
  /** `created` only. */
  history?: History
}

/** What the database said of an id: its event, or null when it has none. */
export type Lookup = Found | null
export interface Found extends KeptId {
  /** A message's deletion, as far as the database has seen one. */
  deletedSeq?: number
}

/** What was looked up for a command: of its own id, and of its target's. Undefined where nothing was. */
export type Lookups = (id: string) => Lookup | undefined

export function refused(code: ErrorCode, message: string): Outcome {
  return { type: 'refused', code, message }
}
