import type { ConversationKind, EventKind, History, Role } from '@parley/proto/frames'
import { idTime } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { isBefore, type Position, startOf } from '@parley/proto/position'

export interface MemberState {
  role: Role
  /** The first seq this member may see. */
  from: number
}

/** An accepted id: what a retry of it is answered with, and what an edit or a delete of it must know. */
export interface KeptId {
  /** `contentHash` as a latin1 string: 16 characters. */
  hash: string
  seq: number
  at: number
  position: Position
  kind: EventKind
  sender: string
  /** The message that an edit, delete or reaction is about. */
  target?: string
}

/** All that `decide` knows of one conversation. `head` 0 means that it doesn't exist yet. */
export interface ConversationState {
  readonly id: string
  kind: ConversationKind
  title: string | undefined
  history: History
  head: number
  /** [R11] The last event's `at`. */
  lastAt: number
  /** [R7] The last accepted command's position. */
  lastPosition: Position
  members: Map<string, MemberState>
  /** [R8] The last accepted ids, oldest first. */
  kept: Map<string, KeptId>
  /** Messages deleted by one of the kept events, with that event's seq. */
  deleted: Map<string, number>
  /** [R8] The greatest id time ever dropped from `kept`; below every id's when none was. */
  floor: number
  /** What created it, so that creating it again is told from creating another. */
  createdHash: string
  createdAt: number
}

const nothingDropped = Number.NEGATIVE_INFINITY

export function emptyConversation(id: string): ConversationState {
  return {
    id,
    kind: 'group',
    title: undefined,
    history: 'all',
    head: 0,
    lastAt: 0,
    lastPosition: { ...startOf(0), offset: -1 },
    members: new Map(),
    kept: new Map(),
    deleted: new Map(),
    floor: nothingDropped,
    createdHash: '',
    createdAt: 0,
  }
}

/**
 * [R8] The floor of a state just loaded with its last `kept` ids: when older ones exist, none of them has a greater
 * id time than the oldest kept one's `at` plus what an id may be ahead.
 */
export function loadedFloor(head: number, kept: ReadonlyMap<string, KeptId>): number {
  if (kept.size >= head) return nothingDropped
  const oldest = kept.values().next().value
  if (oldest === undefined) return Number.POSITIVE_INFINITY
  return oldest.at + limits.idAheadMs
}

/** [R8] Whether the database must be asked of this id: it is not kept, and may be that of an event long past. */
export function needsLookup(state: ConversationState, id: string): boolean {
  return !state.kept.has(id) && idTime(id) <= state.floor
}

/**
 * [R8] Drops kept ids over the bound, oldest first, as far as the database surely has them: `stored` is a checkpoint's S
 * as last read. Only between batches, and only while nothing of the conversation waits.
 */
export function trimKept(
  state: ConversationState,
  stored: Position,
  keep: number = limits.keptIds,
): void {
  for (const [id, kept] of state.kept) {
    if (state.kept.size <= keep || !isBefore(kept.position, stored)) return
    state.kept.delete(id)
    if (kept.kind === 'delete' && kept.target !== undefined) state.deleted.delete(kept.target)
    state.floor = Math.max(state.floor, idTime(id))
  }
}

/** [R13] Whether the state may leave memory, as far as the database is concerned. */
export function isStored(state: ConversationState, stored: Position): boolean {
  return state.head === 0 || isBefore(state.lastPosition, stored)
}

/** Adds an accepted id; they come in the order of their seqs. */
export function keep(state: ConversationState, id: string, kept: KeptId): void {
  state.kept.set(id, kept)
  if (kept.kind === 'delete' && kept.target !== undefined) state.deleted.set(kept.target, kept.seq)
}
