import { eventually } from '../harness/deadline.ts'
import type { EventFrame } from '../harness/frames.ts'
import { uuid7 } from '../harness/ids.ts'
import type { Person } from '../harness/people.ts'
import type { History, Kind } from '../model/contract.ts'
import {
  type Conversation,
  type Creation,
  createConversation,
  decide,
} from '../model/conversation.ts'
import { differenceFrom } from '../model/seen.ts'
import { type Attempt, type Outcome, perform } from './attempts.ts'
import type { Players } from './players.ts'
import type { Dice } from './seeds.ts'
import { settle } from './settling.ts'

/**
 * One conversation of the run, its people and what the model knows of it. What happens in it happens one step after
 * the other, so that the model can foretell each answer exactly; rooms run beside each other.
 */
export interface Room {
  readonly players: Players
  readonly model: Conversation
  readonly cast: readonly Person[]
  readonly dice: Dice
  /** Steps by what was done, to see that all of it was. */
  readonly counts: Map<string, number>
  /** What was done lately, to tell with a failure. */
  readonly lately: string[]
  /** Tries all at once and holds the answers against the model. Throws where they differ. */
  attempt(attempts: readonly Attempt[]): Promise<readonly Outcome[]>
  /** Holds what came of commands tried at once, in whatever order, against the model. */
  settle(outcomes: readonly Outcome[]): Promise<void>
}

export interface RoomPlan {
  kind: Kind
  history: History
  cast: readonly Person[]
  /** How many of the cast are members from the beginning. */
  members: number
  title?: string
}

export async function openRoom(players: Players, plan: RoomPlan, dice: Dice): Promise<Room> {
  const [founder, ...others] = plan.cast as [Person, ...Person[]]
  const model = await create(players, founder, creationOf(plan, others))
  const room: Room = {
    players,
    model,
    cast: plan.cast,
    dice,
    counts: new Map(),
    lately: [],
    async attempt(attempts) {
      const outcomes = await Promise.all(
        attempts.map((attempt) => perform(players, model.id, attempt, dice)),
      )
      await room.settle(outcomes)
      return outcomes
    },
    async settle(given) {
      const outcomes = [...given]
      if (outcomes.some(({ state }) => state === 'unknown')) outcomes.push(await flush(room))
      for (const outcome of outcomes) {
        note(room, shortly(outcome))
        if (outcome.state === 'unknown') count(room, 'unknown')
        if (outcome.state === 'acked' && outcome.resent) count(room, 'resent')
      }
      const shown = outcomes.every((o) => o.state === 'acked' || o.state === 'refused')
        ? []
        : await eventsBehindHead(room, outcomes)
      try {
        settle(model, outcomes, shown)
      } catch (error) {
        throw new Error(describe(room, outcomes), { cause: error })
      }
    },
  }
  return room
}

function creationOf(plan: RoomPlan, others: readonly Person[]): Creation {
  const { kind, history, title } = plan
  const members = others.slice(0, plan.members - 1).map((person) => person.id)
  const creation: Creation = { id: uuid7(), kind, members, history }
  if (title !== undefined) creation.title = title
  return creation
}

async function create(
  players: Players,
  founder: Person,
  creation: Creation,
): Promise<Conversation> {
  const { id, ...rest } = creation
  const body = creation.kind === 'direct' ? { kind: 'direct', members: rest.members } : creation
  const { conversation } = await players.world.http.call<{ conversation: { id: string } }>(
    'POST',
    '/v1/conversations',
    { token: founder.accessToken, body, expect: 201 },
  )
  if (creation.kind !== 'direct' && conversation.id !== id) throw new Error('another id was made')
  const known = creation.kind === 'direct' ? { ...creation, id: conversation.id } : creation
  return createConversation(founder.id, known)
}

/**
 * A message by whoever can still send one. Once it is acked, whatever the log held before it is decided too, so what
 * became of commands whose answers were lost can be read.
 */
async function flush({ players, model, dice }: Room): Promise<Outcome> {
  for (const [by, { role }] of model.members) {
    if (model.kind === 'channel' && role === 'member') continue
    const command = { type: 'send' as const, id: uuid7(), body: { text: 'after all of these' } }
    const outcome = await perform(players, model.id, { by, command, overRest: false }, dice)
    if (outcome.state === 'acked') return outcome
  }
  throw new Error('nobody is left to send')
}

/** The events behind the model's head, where an answer alone doesn't tell what became of a command. */
function eventsBehindHead(room: Room, outcomes: readonly Outcome[]): Promise<EventFrame[]> {
  const { players, model, dice } = room
  const after = model.events.length
  const head = Math.max(after, ...outcomes.map((o) => (o.state === 'acked' ? o.seq : 0)))
  return eventually('the events of a step', async () => {
    for (const user of model.members.keys()) {
      const device = await players.onlineDeviceOf(user, dice)
      const page = await device.sync(model.id, after, 500)
      if (page === 'lost' || page.type === 'error') continue
      if (page.from <= after + 1 && page.head >= head) return page.events
    }
    return undefined
  })
}

const latelyLength = 12

export function count(room: Room, what: string): void {
  room.counts.set(what, (room.counts.get(what) ?? 0) + 1)
}

export function note(room: Room, what: string): void {
  room.lately.push(`${new Date().toISOString().slice(14, 23)} ${what}`)
  if (room.lately.length > latelyLength) room.lately.shift()
}

function shortly({ attempt, ...outcome }: Outcome): string {
  const { by, command, overRest } = attempt
  const path = overRest ? 'over REST' : 'by frame'
  return `${by} ${JSON.stringify(command).slice(0, 120)} ${path} → ${JSON.stringify(outcome)}`
}

/** Everything one needs to see why a step went wrong. */
function describe(room: Room, outcomes: readonly Outcome[]): string {
  const { model } = room
  const members = [...model.members].map(([user, { role, from }]) => `${user} ${role} from ${from}`)
  const tried = outcomes.map(({ attempt, ...outcome }) => {
    const verdict = decide(model, attempt.by, attempt.command)
    return `${JSON.stringify(attempt)} → ${JSON.stringify(outcome)}; the model: ${JSON.stringify(verdict)}`
  })
  return [
    `${model.kind} ${model.id} (${model.history}), head ${model.events.length}, ${members.join(', ')}`,
    ...tried,
  ].join('\n')
}

/** Throws when an event as it was shown is not the one the model has at its seq. */
export function expectForetold(model: Conversation, shown: EventFrame): void {
  const foretold = model.events[shown.seq - 1]
  if (foretold === undefined) throw new Error(`nobody asked for ${JSON.stringify(shown)}`)
  const difference = differenceFrom(model, foretold, shown)
  if (difference !== undefined) throw new Error(difference)
}
