import type { EventFrame } from '../harness/frames.ts'
import type { Foretold } from '../model/contract.ts'
import { accept, type Conversation, copyOf, decide } from '../model/conversation.ts'
import { differenceFrom } from '../model/seen.ts'
import type { Attempt, Outcome } from './attempts.ts'

type Placed = { attempt: Attempt; seq: number; at?: number; duplicate?: boolean; resent?: boolean }

/**
 * Holds the outcomes of commands that ran at once against the model. Their order is what their seqs say; a refusal
 * must be right at some point between the first and the last of them. `shown` are the events behind the model's head,
 * where they were needed to know. Throws at the first thing that the contract does not foretell.
 */
export function settle(
  model: Conversation,
  outcomes: readonly Outcome[],
  shown: readonly EventFrame[],
): void {
  const refusals = outcomes.filter((outcome) => outcome.state === 'refused')
  const states = refusals.length > 0 ? [copyOf(model)] : []
  for (const placed of placedOf(outcomes, shown).sort((a, b) => a.seq - b.seq)) {
    const { attempt, seq } = placed
    const verdict = decide(model, attempt.by, attempt.command)
    if (!verdict.ok) {
      throw new Error(`accepted as ${seq}, must be ${verdict.code}: ${JSON.stringify(attempt)}`)
    }
    if ('duplicate' in verdict) expectSamePlace(verdict.duplicate, placed)
    else acceptAt(model, verdict.event, placed)
    if (states.length > 0) states.push(copyOf(model))
  }
  for (const { attempt, code } of refusals) {
    const foretold = states.map((state) => decide(state, attempt.by, attempt.command))
    if (!foretold.some((verdict) => !verdict.ok && verdict.code === code)) {
      const verdicts = JSON.stringify(foretold)
      throw new Error(`refused as ${code}: ${JSON.stringify(attempt)}, foretold ${verdicts}`)
    }
  }
  for (const event of shown) {
    const foretold = model.events[event.seq - 1]
    if (foretold === undefined) throw new Error(`nobody asked for ${JSON.stringify(event)}`)
    // One that a later event of the step deleted has no body any more.
    const known = event.body === undefined ? withoutBody(foretold) : foretold
    const difference = differenceFrom(model, known, event)
    if (difference !== undefined) throw new Error(difference)
    foretold.id = event.id
    foretold.at = event.at
  }
}

function acceptAt(model: Conversation, event: Foretold, placed: Placed): void {
  const { attempt, seq, at, duplicate = false, resent = false } = placed
  if (event.seq !== seq) {
    throw new Error(`accepted as ${seq}, must be ${event.seq}: ${JSON.stringify(attempt)}`)
  }
  if (duplicate && !resent) throw new Error(`no duplicate: ${JSON.stringify(attempt)}`)
  if (at !== undefined) {
    if (at < (model.events.at(-1)?.at ?? 0)) throw new Error(`at goes back at ${seq}`)
    event.at = at
  }
  accept(model, attempt.by, attempt.command, event)
}

/** [S3] */
function expectSamePlace(first: Foretold, { attempt, seq, at, duplicate }: Placed): void {
  const same = seq === first.seq && (first.at === undefined || at === first.at) && duplicate
  if (!same) {
    const got = JSON.stringify({ seq, at, duplicate })
    throw new Error(
      `a duplicate of ${JSON.stringify(first)} got ${got}: ${JSON.stringify(attempt)}`,
    )
  }
}

/** Of several answers to one id the one without `duplicate` stands first. */
function placedOf(outcomes: readonly Outcome[], shown: readonly EventFrame[]): Placed[] {
  const free = [...shown]
  const placed: Placed[] = []
  for (const outcome of outcomes) {
    if (outcome.state !== 'acked') continue
    // The answer that was lost may have been the first to an id that two devices sent.
    const resent = outcomes.some((o) => o.state === 'acked' && o.seq === outcome.seq && o.resent)
    placed.push({ ...outcome, resent })
    const own = free.findIndex((event) => event.seq === outcome.seq)
    if (own >= 0) free.splice(own, 1)
  }
  placed.sort((a, b) => Number(a.duplicate ?? false) - Number(b.duplicate ?? false))
  for (const { attempt, state } of outcomes) {
    if (state !== 'done' && state !== 'unknown') continue
    const at = free.findIndex((event) => isOf(event, attempt))
    if (at >= 0) placed.push({ attempt, seq: (free.splice(at, 1)[0] as EventFrame).seq })
    else if (state === 'done') throw new Error(`no event came of ${JSON.stringify(attempt)}`)
  }
  const [stray] = free
  if (stray !== undefined) throw new Error(`nobody asked for ${JSON.stringify(stray)}`)
  return placed
}

/** Whether an event is what this change of members or title becomes. */
function isOf(event: EventFrame, { by, command }: Attempt): boolean {
  if (event.sender !== by) return false
  const { body = {} } = event
  switch (command.type) {
    case 'add': {
      if (event.kind !== 'joined') return false
      if (command.id !== undefined) return event.id === command.id
      return (body.users as string[]).every((user) => command.users.includes(user))
    }
    case 'remove':
      return event.kind === 'left' && (body.users as string[])[0] === command.user
    case 'role':
      return event.kind === 'role' && body.user === command.user && body.role === command.role
    case 'title':
      return event.kind === 'updated' && body.title === command.title
    default:
      return false
  }
}

function withoutBody(foretold: Foretold): Foretold {
  const { body: _body, ...rest } = foretold
  return rest
}
