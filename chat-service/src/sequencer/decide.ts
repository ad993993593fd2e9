import { type Command, contentDigest } from '@parley/proto/commands'
import { idTime } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { comparePositions, type Position } from '@parley/proto/position'
import type { Found, Lookups, Outcome } from './outcome.ts'
import { refused } from './outcome.ts'
import { decideByRules1 } from './rules-1.ts'
import { type ConversationState, type KeptId, needsLookup } from './state.ts'

/** A command of rules that this release doesn't have: the partition must stop, not guess. */
export class UnknownRules extends Error {
  override readonly name = 'UnknownRules'
}

/** [R12] Each release's answers, kept for the commands it stamped. */
const byRules = new Map([[1, decideByRules1]])

const nothingLookedUp: Lookups = () => undefined

/** The ids that a command's outcome depends on: its own, and its target's. */
export function idsOf(command: Command): string[] {
  return 'target' in command ? [command.id, command.target] : [command.id]
}

/**
 * What a command comes to: a pure function of the state, the command, its place, and (for ids below the floor) what the
 * database says of them. Throws when the caller broke its part: an id that needs a lookup without one, or unknown
 * rules.
 */
export function decide(
  state: ConversationState,
  command: Command,
  position: Position,
  lookups: Lookups = nothingLookedUp,
): Outcome {
  const rules = byRules.get(command.rules)
  if (rules === undefined) {
    throw new UnknownRules(
      `a command of rules ${command.rules}: this release is too old to decide it`,
    )
  }
  const digest = contentDigest(command)
  const hash = digest.hash.toString('latin1')
  const before = accepted(state, command.id, lookups)
  if (before !== undefined) return answerAgain(state, command, { before, hash, position })
  if (comparePositions(position, state.lastPosition) <= 0) return { type: 'passed' }
  const flaw = flawOf(command, digest.bytes)
  return flaw ?? rules(state, command, { hash, find: (id) => accepted(state, id, lookups) })
}

/**
 * [R8] What is known to have been accepted under an id: memory first, then what the database had within our head. It may
 * have seen more than we have decided yet, a deletion of the message too: what lies beyond our head doesn't count.
 */
function accepted(state: ConversationState, id: string, lookups: Lookups): Found | undefined {
  const deletedSeq = state.deleted.get(id)
  const kept = state.kept.get(id)
  if (kept !== undefined) return deletedSeq === undefined ? kept : { ...kept, deletedSeq }
  if (!needsLookup(state, id)) return undefined
  const found = lookups(id)
  if (found === undefined) throw new Error(`id ${id} lies below the floor and was not looked up`)
  if (found === null || found.seq > state.head) return undefined
  const { deletedSeq: stored, ...event } = found
  const deleted = deletedSeq ?? (stored !== undefined && stored <= state.head ? stored : undefined)
  return deleted === undefined ? event : { ...event, deletedSeq: deleted }
}

/** [R9] Before membership and all else: an accepted id is answered with its first place. */
function answerAgain(
  state: ConversationState,
  command: Command,
  { before, hash, position }: { before: KeptId; hash: string; position: Position },
): Outcome {
  if (before.hash === hash) {
    const again = comparePositions(before.position, position) === 0
    return { type: 'duplicate', seq: before.seq, at: before.at, again }
  }
  if (comparePositions(position, state.lastPosition) <= 0) return { type: 'passed' }
  if (!state.members.has(command.sender)) return refused('not_found', 'no such conversation')
  return refused('id_conflict', 'this id was accepted with other content')
}

/** Refusals that no state changes. */
function flawOf(command: Command, contentBytes: number): Outcome | undefined {
  const time = idTime(command.id)
  if (Number.isNaN(time)) return refused('invalid', 'id must be a version 7 UUID')
  if (time > command.at + limits.idAheadMs) {
    return refused('invalid', 'id lies more than 5 minutes in the future')
  }
  if (contentBytes > maxContentBytes) {
    return refused('too_large', `the content is over ${maxContentBytes} bytes`)
  }
  return undefined
}

/** [R14] A body and its target; a list of users up to `limits.commandMembers`. An event is little more than that. */
const maxContentBytes = limits.bodyBytes + 4_096
