import type {
  CreatedBody,
  Event,
  History,
  MessageBody,
  ReactionBody,
  UsersBody,
} from '@parley/proto/frames'
import type { Message } from '@parley/proto/rest'

/** For tests: what one member of one conversation must be shown, by the words of the contract and a plain list of events. */
export interface PresentView {
  head: number
  from: number
  read: number
  unread: number
  /** Newest first. */
  messages: Message[]
  /** Ascending. */
  events: Event[]
}

interface Told {
  event: Event
  body: MessageBody
  editedAt?: number
  deleted: boolean
  reactions: { user: string; emoji: string }[]
}

/** Undefined when the user is outside. `cursor` is the greatest position the user has told, 0 for none. */
export function presentView(
  events: readonly Event[],
  who: { user: string; history: History; cursor: number },
): PresentView | undefined {
  const { user, history, cursor } = who
  let from: number | undefined
  let sent = 0
  const told = new Map<string, Told>()
  for (const event of events) {
    const users = (event.body as UsersBody | CreatedBody | undefined)?.users ?? []
    if (event.kind === 'created') from = users.includes(user) || event.sender === user ? 1 : from
    if (event.kind === 'joined' && users.includes(user) && from === undefined) {
      from = history === 'all' ? 1 : event.seq
      sent = 0
    }
    if (event.kind === 'left' && users.includes(user)) from = undefined
    if (event.kind === 'message' && event.sender === user && from !== undefined) sent = event.seq
    tell(told, event)
  }
  if (from === undefined) return undefined
  const start = from
  const read = Math.max(sent, Math.min(cursor, events.length))
  const seen = [...told.values()].filter(({ event }) => event.seq >= start).reverse()
  return {
    head: events.length,
    from,
    read,
    unread: seen.filter((t) => t.event.seq > read && t.event.sender !== user && !t.deleted).length,
    messages: seen.map((t) => shown(t, user)),
    events: events.filter((e) => e.seq >= start).map((e) => withoutDeleted(e, told)),
  }
}

function tell(told: Map<string, Told>, event: Event): void {
  if (event.kind === 'message') {
    told.set(event.id, { event, body: event.body as MessageBody, deleted: false, reactions: [] })
  }
  const about = told.get(event.target ?? '')
  if (about === undefined || about.deleted) return
  if (event.kind === 'edit') {
    about.body = event.body as MessageBody
    about.editedAt = event.at
  }
  if (event.kind === 'delete') about.deleted = true
  if (event.kind !== 'reaction') return
  const { emoji, remove } = event.body as ReactionBody
  const there = about.reactions.findIndex((r) => r.user === event.sender && r.emoji === emoji)
  if (remove === true && there >= 0) about.reactions.splice(there, 1)
  if (remove !== true && there < 0) about.reactions.push({ user: event.sender, emoji })
}

function shown({ event, body, editedAt, deleted, reactions }: Told, user: string): Message {
  const { id, seq, sender, at } = event
  if (deleted) return { id, seq, sender, at, deleted, reactions: [] }
  const emojis = [...new Set(reactions.map((r) => r.emoji))]
  const message: Message = {
    ...{ id, seq, sender, at, body },
    reactions: emojis.map((emoji) => {
      const of = reactions.filter((r) => r.emoji === emoji)
      return { emoji, count: of.length, mine: of.some((r) => r.user === user) }
    }),
  }
  if (editedAt !== undefined) message.editedAt = editedAt
  return message
}

function withoutDeleted(event: Event, told: ReadonlyMap<string, Told>): Event {
  const said = event.kind === 'edit' ? event.target : event.id
  if (told.get(said ?? '')?.deleted !== true) return event
  const { body: _, ...rest } = event
  return rest
}
