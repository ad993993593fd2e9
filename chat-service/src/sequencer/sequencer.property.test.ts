import type { Command } from '@parley/proto/commands'
import { newId } from '@parley/proto/ids'
import { currentRules } from '@parley/proto/rules'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { apply } from './apply.ts'
import { decide } from './decide.ts'
import type { Accepted, Lookup, Outcome } from './outcome.ts'
import {
  type ConversationState,
  emptyConversation,
  isStored,
  keep,
  loadedFloor,
  trimKept,
} from './state.ts'

/**
 * One conversation's partition, cut anywhere: the commands stand in a log, events follow into another, a database
 * projects a prefix of them, and the owner crashes, replays, trims and evicts as the script says. Whatever it says, every
 * outcome told and the final state must be those of an owner to whom nothing ever happened.
 */

const keptIds = 3
const start = 1_790_000_000_000
const users = Array.from({ length: 4 }, () => newId(start))
const conversation = newId(start)

interface Step {
  user: number
  id: number
  text: number
  type: 'send' | 'add' | 'remove' | 'role' | 'edit' | 'delete' | 'react'
  target: number
  other: number
  afterMs: number
}
interface Action {
  do: 'decide' | 'project' | 'crash' | 'tidy'
  /** Commands, records, or the offset committed. */
  count: number
}

const steps = fc.array(
  fc.record<Step>({
    user: fc.constantFrom(0, 0, 0, 1, 1, 2, 3),
    id: fc.nat(25),
    text: fc.nat(1),
    type: fc.constantFrom(
      ...([
        'send',
        'send',
        'send',
        'send',
        'add',
        'remove',
        'role',
        'edit',
        'delete',
        'react',
      ] as const),
    ),
    target: fc.nat(25),
    other: fc.nat(3),
    afterMs: fc.constantFrom(0, 1, 1_000, 1_000, 60_000, -50_000),
  }),
  { minLength: 12, maxLength: 50 },
)
const script = fc.array(
  fc.record<Action>({
    do: fc.constantFrom('decide', 'project', 'crash', 'tidy'),
    count: fc.integer({ min: 1, max: 12 }),
  }),
  { maxLength: 40 },
)

/** Ids of a small pool, so that many are used twice; their times lie before and after their commands'. */
function commandsOf(list: Step[]): Command[] {
  const ids = Array.from({ length: 26 }, (_, n) => newId(start + n * 60_000))
  let at = start + 5 * 60_000
  const create: Command = {
    type: 'create',
    kind: 'group',
    history: 'joined',
    members: users.slice(0, 2),
    id: newId(start),
    conversation,
    sender: users[0] as string,
    at,
    rules: currentRules,
    correlation: 0,
  }
  return [
    create,
    ...list.map((step): Command => {
      at += step.afterMs
      const other = users[step.other] as string
      const base = {
        id: ids[step.id] as string,
        conversation,
        sender: users[step.user] as string,
        at,
        rules: currentRules,
        correlation: 0,
      }
      if (step.type === 'add') return { ...base, type: 'add', users: [other] }
      if (step.type === 'remove') return { ...base, type: 'remove', user: other }
      if (step.type === 'role') {
        return { ...base, type: 'role', user: other, role: step.text ? 'owner' : 'member' }
      }
      const target = ids[step.target] as string
      if (step.type === 'delete') return { ...base, type: 'delete', target }
      if (step.type === 'react') return { ...base, type: 'react', target, emoji: '👍' }
      if (step.type === 'edit') {
        return { ...base, type: 'edit', target, body: { text: `t${step.text}` } }
      }
      return { ...base, type: 'send', body: { text: `t${step.text}` } }
    }),
  ]
}

const positionOf = (offset: number) => ({ epoch: 1, offset, index: 0 })

function reference(commands: Command[]): { outcomes: Outcome[]; state: ConversationState } {
  const state = emptyConversation(conversation)
  const outcomes = commands.map((command, offset) => {
    const outcome = decide(state, command, positionOf(offset))
    apply(state, outcome, positionOf(offset))
    return outcome
  })
  return { outcomes, state }
}

/** The owner under test: the pure functions, called as the runner calls them. */
class Owner {
  /** What the events log holds, one entry a decided command; doubled after a crash. */
  readonly #appended: { upTo: number; outcome: Outcome; offset: number }[] = []
  readonly told: { offset: number; outcome: Outcome }[] = []
  readonly #commands: Command[]
  #database = emptyConversation(conversation)
  #projected = 0
  #stored = 0
  #committed = 0
  #next = 0
  #state: ConversationState | undefined

  constructor(commands: Command[]) {
    this.#commands = commands
  }

  act(action: Action): void {
    if (action.do === 'decide') for (let i = 0; i < action.count; i++) this.#decideNext()
    if (action.do === 'project') for (let i = 0; i < action.count; i++) this.#projectNext()
    if (action.do === 'crash') this.#crash(action.count)
    if (action.do === 'tidy') this.#tidy()
  }

  finish(): ConversationState {
    while (this.#next < this.#commands.length) this.#decideNext()
    while (this.#projected < this.#appended.length) this.#projectNext()
    return this.#database
  }

  #decideNext(): void {
    const offset = this.#next
    const command = this.#commands[offset]
    if (command === undefined) return
    this.#next += 1
    this.#state ??= this.#load()
    const outcome = decide(this.#state, command, positionOf(offset), (id) => this.#lookUp(id))
    apply(this.#state, outcome, positionOf(offset))
    if (offset < this.#committed) return
    this.told.push({ offset, outcome })
    this.#appended.push({ upTo: offset + 1, outcome, offset })
  }

  /** [R4], as storage-worker does it. */
  #projectNext(): void {
    const record = this.#appended[this.#projected]
    if (record === undefined) return
    this.#projected += 1
    this.#stored = Math.max(this.#stored, record.upTo)
    const { outcome, offset } = record
    if (outcome.type !== 'accepted' || outcome.event.seq <= this.#database.head) return
    apply(this.#database, outcome, positionOf(offset))
  }

  /** [R5] Memory is gone; C is anything up to what was appended, S is the database's. */
  #crash(committed: number): void {
    const covered = this.#appended.reduce((most, record) => Math.max(most, record.upTo), 0)
    this.#committed = Math.max(this.#committed, Math.min(committed, covered))
    this.#next = this.#stored
    this.#state = undefined
  }

  #tidy(): void {
    if (this.#state === undefined) return
    trimKept(this.#state, positionOf(this.#stored), keptIds)
    if (isStored(this.#state, positionOf(this.#stored))) this.#state = undefined
  }

  #load(): ConversationState {
    const kept = new Map([...this.#database.kept].slice(-keptIds))
    const members = new Map([...this.#database.members].map(([user, m]) => [user, { ...m }]))
    const state = { ...this.#database, kept: new Map(), deleted: new Map(), members }
    for (const [id, event] of kept) keep(state, id, event)
    return { ...state, floor: loadedFloor(state.head, kept) }
  }

  #lookUp(id: string): Lookup {
    const event = this.#database.kept.get(id)
    const deletedSeq = this.#database.deleted.get(id)
    if (event === undefined) return null
    return deletedSeq === undefined ? event : { ...event, deletedSeq }
  }
}

function content(state: ConversationState): unknown {
  const { floor: _, kept, deleted, members, ...rest } = state
  return { ...rest, kept: [...kept], deleted: [...deleted], members: [...members].sort() }
}

it('[G2] [R5] [R7] [R8] [R13] cut, replayed, doubled and evicted anywhere, outcomes and state stay the same', () => {
  const seen = { replayed: 0, passed: 0 }
  fc.assert(
    fc.property(steps, script, (list, actions) => {
      const commands = commandsOf(list)
      const truth = reference(commands)
      const owner = new Owner(commands)
      for (const action of actions) owner.act(action)
      const state = owner.finish()

      const accepted = truth.outcomes.filter((o): o is Accepted => o.type === 'accepted')
      for (const { offset, outcome } of owner.told) {
        const first = truth.outcomes[offset] as Outcome
        if (outcome.type === 'passed') {
          seen.passed += 1
          expect(first.type).toBe('refused')
        } else if (outcome.type === 'duplicate') {
          if (outcome.again) seen.replayed += 1
          const event = accepted[outcome.seq - 1]?.event
          expect(event).toMatchObject({ id: commands[offset]?.id, at: outcome.at })
        } else {
          expect(outcome).toEqual(first)
        }
      }
      expect(content(state)).toEqual(content(truth.state))
    }),
    { numRuns: 8_000 },
  )
  expect(seen.replayed).toBeGreaterThan(0)
  expect(seen.passed).toBeGreaterThan(0)
}, 60_000)
