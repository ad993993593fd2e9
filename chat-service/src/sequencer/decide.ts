import { type Command, contentDigest } from '@parley/proto/commands'
import { idTime } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { comparePositions, type Position } from '@parley/proto/position'
import type { Lookup, Outcome } from './outcome.ts'
import { refused } from './outcome.ts'
import { decideByRules1 } from './rules-1.ts'
import { type ConversationState, needsLookup } from './state.ts'

/** A command of rules that this release doesn't have: the partition must stop, not guess. */
export class UnknownRules extends Error {
  override readonly name = 'UnknownRules'
}

/** [R12] Each release's answers, kept for the commands it stamped. */
const byRules = new Map([[1, decideByRules1]])

/**
 * What a command comes to: a pure function of the state, the command, its place, and (for an id below the floor) what
 * the database says of that id. Throws when the caller broke its part: an id that needs a lookup without one, or
 * unknown rules.
 */
export function decide(
  state: ConversationState,
  command: Command,
  position: Position,
  lookup?: Lookup,
): Outcome {
  const rules = byRules.get(command.rules)
  if (rules === undefined) {
    throw new UnknownRules(
      `a command of rules ${command.rules}: this release is too old to decide it`,
    )
  }
  const digest = contentDigest(command)
  const hash = digest.hash.toString('latin1')
  const before = accepted(state, command.id, lookup)
  if (before !== undefined) return answerAgain(state, command, { before, hash, position })
  if (comparePositions(position, state.lastPosition) <= 0) return { type: 'passed' }
  const flaw = flawOf(command, digest.bytes)
  return flaw ?? rules(state, command, hash)
}

/** [R8] What is known to have been accepted under this id; memory first, then what the database had within our head. */
function accepted(state: ConversationState, id: string, lookup: Lookup | undefined) {
  const kept = state.kept.get(id)
  if (kept !== undefined) return kept
  if (!needsLookup(state, id)) return undefined
  if (lookup === undefined) throw new Error(`id ${id} lies below the floor and was not looked up`)
  return lookup !== null && lookup.seq <= state.head ? lookup : undefined
}

/** [R9] Before membership and all else: an accepted id is answered with its first place. */
function answerAgain(
  state: ConversationState,
  command: Command,
  { before, hash, position }: { before: NonNullable<Lookup>; hash: string; position: Position },
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
