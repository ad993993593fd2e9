import type { Position } from '@parley/proto/position'
import type { Lookup } from '../sequencer/outcome.ts'
import type { ConversationState } from '../sequencer/state.ts'

/** [R4] A partition's checkpoint: `nextEvent` is E, `upTo` is S, the first position not covered. */
export interface Checkpoint {
  nextEvent: number
  upTo: Position
}

export interface LoadRequest {
  conversation: string
  /** Whether the state is wanted; a conversation in memory only has ids to look up. */
  state: boolean
  ids: string[]
}

export interface Loaded {
  /** As the snapshot had it: what tells a stale snapshot from a fresh one ([R6]). */
  checkpoint: Checkpoint
  /** By conversation; one that doesn't exist is left out. */
  states: Map<string, ConversationState>
  /** Conversations that were too much for one snapshot: their states are to be asked for again. */
  left: Set<string>
  /** By `lookupKey`, for every id asked. */
  lookups: Map<string, Lookup>
}

/**
 * Where states come from. Everything one `load` answers is of one database snapshot ([R6]). Both calls reject when the
 * database is away, and with `EpochChanged`.
 */
export interface StateSource {
  load(partition: number, requests: LoadRequest[]): Promise<Loaded>
  checkpoint(partition: number): Promise<Checkpoint>
}

export function lookupKey(conversation: string, id: string): string {
  return conversation + id
}

/** [R15] The database has gone on to another log: no state of it can be trusted here any more. */
export class EpochChanged extends Error {
  override readonly name = 'EpochChanged'
}
