import { createHash } from 'node:crypto'
import type { LogRecord } from '@parley/platform/ports/log'
import { encodeEventFrame } from '@parley/proto/event-frame'
import { type EventEntry, encodeEventRecord } from '@parley/proto/event-records'
import type { Event, EventBody, EventKind, History } from '@parley/proto/frames'
import { recordSchema } from '@parley/proto/record-headers'
// biome-ignore lint/correctness/noUndeclaredDependencies: a development tool, which the root declares
import fc from 'fast-check'
import type { Bound } from '../projection/batch.ts'

export const epochId = 'eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee'

/** A number as an id: equal numbers, equal ids. */
export function idOf(family: string, number: number): string {
  return `${family.padEnd(8, '0')}-0000-7000-8000-${number.toString(16).padStart(12, '0')}`
}

/** What became of one command: an event, or nothing when it was refused. */
export interface Outcome {
  at: Bound
  /** The first position after it. */
  after: Bound
  entry: EventEntry | undefined
}

interface Step {
  conversation: number
  actor: number
  other: number
  /** Which of the first messages an edit, delete or reaction is about; the last number stands for none of them. */
  target: number
  emoji: number
  remove: boolean
  what: 'message' | 'join' | 'leave' | 'role' | 'title' | 'edit' | 'delete' | 'react' | 'refused'
  newRecord: boolean
}

const targets = 5

const step: fc.Arbitrary<Step> = fc.record({
  conversation: fc.nat(2),
  actor: fc.nat(3),
  other: fc.nat(5),
  target: fc.nat(targets),
  emoji: fc.nat(2),
  remove: fc.boolean(),
  what: fc.oneof(
    { weight: 4, arbitrary: fc.constant('message' as const) },
    { weight: 3, arbitrary: fc.constantFrom<Step['what'][]>('edit', 'react') },
    {
      weight: 6,
      arbitrary: fc.constantFrom<Step['what'][]>(
        'join',
        'leave',
        'role',
        'title',
        'edit',
        'delete',
        'react',
        'refused',
      ),
    },
  ),
  newRecord: fc.boolean(),
})

/** Outcomes of one partition's commands as a sequencer might have decided them, in order. */
export const outcomes: fc.Arbitrary<Outcome[]> = fc
  .tuple(fc.array(step, { maxLength: 60, size: 'max' }), fc.boolean())
  .map(([steps, narrow]) => playSteps(narrow ? steps.map(narrowed) : steps))

/** Of one conversation, two members and one emoji, so that changes of one message come thick and fast. */
function narrowed(step: Step): Step {
  const { actor, target, what } = step
  const wide = what === 'join' || what === 'leave' || what === 'role' || what === 'title'
  return {
    ...step,
    conversation: 0,
    actor: actor % 2,
    target: target % 2,
    emoji: 0,
    what: wide ? 'react' : what,
  }
}

interface Conversation {
  head: number
  messages: string[]
}

function playSteps(steps: Step[]): Outcome[] {
  const conversations = new Map<number, Conversation>()
  const played: Outcome[] = []
  let at: Bound = { offset: 0, index: -1 }
  for (const s of steps) {
    at = s.newRecord
      ? { offset: at.offset + 1, index: 0 }
      : { offset: at.offset, index: at.index + 1 }
    played.push({
      at,
      after: { offset: at.offset, index: at.index + 1 },
      entry: s.what === 'refused' ? undefined : entryOf(s, at, { played, conversations }),
    })
  }
  return played
}

function entryOf(
  step: Step,
  at: Bound,
  world: { played: Outcome[]; conversations: Map<number, Conversation> },
): EventEntry {
  const conversation = world.conversations.get(step.conversation) ?? { head: 0, messages: [] }
  world.conversations.set(step.conversation, conversation)
  conversation.head += 1
  const number = world.played.length
  const what = whatOf(step, conversation)
  const event: Event = {
    type: 'event',
    conversation: idOf('c', step.conversation),
    seq: conversation.head,
    id: idOf('a', number),
    kind: what.kind,
    sender: idOf('b', step.actor),
    at: 1_700_000_000_000 + number,
    ...(what.body === undefined ? {} : { body: what.body }),
    ...(what.target === undefined ? {} : { target: what.target }),
  }
  if (what.kind === 'message') conversation.messages.push(event.id)
  const entry = entryFor(event, at)
  if (what.kind === 'created') entry.history = historyOf(step.conversation)
  return entry
}

function historyOf(conversation: number): History {
  return conversation === 0 ? 'joined' : 'all'
}

function whatOf(
  step: Step,
  { head, messages }: Conversation,
): { kind: EventKind; body?: EventBody; target?: string } {
  const { conversation: which, actor, other, what } = step
  const user = idOf('b', other)
  const target = step.target === targets ? idOf('f', 1) : messages[step.target % messages.length]
  if (head === 1) {
    const kind = (['group', 'channel', 'direct'] as const)[which] ?? 'group'
    const users = [...new Set([idOf('b', actor), user])].sort()
    return { kind: 'created', body: which === 1 ? { kind, title: 'one', users } : { kind, users } }
  }
  if (what === 'join') return { kind: 'joined', body: { users: [user, idOf('b', actor)] } }
  if (what === 'leave') return { kind: 'left', body: { users: [user] } }
  if (what === 'role') {
    return { kind: 'role', body: { user, role: actor % 2 === 0 ? 'admin' : 'owner' } }
  }
  if (what === 'title') return { kind: 'updated', body: { title: `title ${head}` } }
  if (target !== undefined && what === 'edit') {
    return { kind: 'edit', body: { text: `edited ${head}` }, target }
  }
  if (target !== undefined && what === 'delete') return { kind: 'delete', target }
  if (target !== undefined && what === 'react') {
    const emoji = emojis[step.emoji] as string
    return { kind: 'reaction', body: step.remove ? { emoji, remove: true } : { emoji }, target }
  }
  return { kind: 'message', body: { text: `said ${head}`, mentions: [user] } }
}

/** Any string may be one: this one, too, that PostgreSQL's text would refuse. */
const emojis = ['👍', '🏳️‍🌈', 'a\0b']

export function entryFor(event: Event, at: Bound): EventEntry {
  const frame = encodeEventFrame(event)
  const hash = createHash('sha256').update(frame).digest().subarray(0, 16)
  return { offset: at.offset, index: at.index, hash, frame }
}

export function recordOf(
  offset: number,
  upTo: Bound,
  events: (EventEntry | undefined)[],
  epoch = epochId,
): LogRecord {
  const value = encodeEventRecord({ upTo, events: events.filter((e) => e !== undefined) })
  return { offset, headers: { schema: recordSchema, epoch }, value }
}

/** One append: by which of two owners, of how many outcomes, and whether it starts anew before that. */
interface Append {
  owner: 0 | 1
  take: number
  again: boolean
}

const append: fc.Arbitrary<Append> = fc.record({
  owner: fc.constantFrom(0 as const, 1 as const),
  take: fc.nat(6),
  again: fc.boolean(),
})

export interface LoggedHistory {
  outcomes: Outcome[]
  records: LogRecord[]
  /** `upTo` of each record. */
  upTos: Bound[]
}

/**
 * [R3] The events log as two owners of the partition may leave it, one of them a zombie: each appends the same outcomes
 * from where it began, cut in its own way; records and events come twice, out of date, or empty, but never with a hole.
 */
export const histories: fc.Arbitrary<LoggedHistory> = fc
  .tuple(outcomes, fc.array(append, { maxLength: 40, size: 'max' }))
  .map(([played, appends]) => {
    const next = [0, 0]
    const records: LogRecord[] = []
    const upTos: Bound[] = []
    const put = (owner: number, take: number) => {
      const from = next[owner] ?? 0
      const to = Math.min(played.length, from + take)
      const upTo = to === 0 ? { offset: 0, index: 0 } : (played[to - 1] as Outcome).after
      next[owner] = to
      upTos.push(upTo)
      records.push(
        recordOf(
          records.length,
          upTo,
          played.slice(from, to).map((o) => o.entry),
        ),
      )
    }
    for (const { owner, take, again } of appends) {
      if (again) next[owner] = Math.floor((next[owner] ?? 0) / 2)
      put(owner, take)
    }
    put(0, played.length)
    return { outcomes: played, records, upTos }
  })
