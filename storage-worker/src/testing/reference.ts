import { decodeEventFrame, readEventFrame } from '@parley/proto/event-frame'
import type { EventEntry } from '@parley/proto/event-records'
import type {
  CreatedBody,
  Event,
  EventBody,
  ReactionBody,
  RoleBody,
  UpdatedBody,
  UsersBody,
} from '@parley/proto/frames'
import { keyOf, type MessageRow, messageRow, type Tables, totalsOf } from './tables.ts'

/** What one event does to the tables, one row at a time: what any projection must come to. */
export function applyOnce(tables: Tables, entry: EventEntry, epoch: number): void {
  const event = decodeEventFrame(entry.frame)
  const position: [number, number, number] = [epoch, entry.offset, entry.index]
  tables.messages.set(
    keyOf(event.conversation, event.seq),
    messageRow({ event: readEventFrame(entry.frame), hash: entry.hash, position }),
  )
  if (event.kind === 'created') create(tables, event, entry)
  const conversation = tables.conversations.get(event.conversation)
  if (conversation === undefined) throw new Error('the history begins without created')
  conversation.head = event.seq
  conversation.lastAt = event.at
  conversation.lastPosition = position
  changeRest(tables, event)
  conversation.memberCount = [...tables.members.keys()].filter((key) =>
    key.startsWith(`${event.conversation}/`),
  ).length
}

function create(tables: Tables, event: Event, entry: EventEntry): void {
  const body = event.body as CreatedBody
  tables.conversations.set(event.conversation, {
    kind: body.kind,
    title: body.title ?? null,
    history: String(entry.history),
    head: 1,
    lastAt: event.at,
    lastPosition: [0, 0, 0],
    createdAt: event.at,
    createdHash: Buffer.from(entry.hash).toString('hex'),
    memberCount: 0,
  })
  for (const user of body.users) {
    const owns = body.kind !== 'direct' && user === event.sender
    const role = owns ? 'owner' : 'member'
    tables.members.set(keyOf(event.conversation, user), { role, from: 1, joined: 1, read: 0 })
  }
}

function changeRest(tables: Tables, event: Event): void {
  const conversation = tables.conversations.get(event.conversation)
  const memberOf = (user: string) => tables.members.get(keyOf(event.conversation, user))
  if (conversation === undefined) return
  if (event.kind === 'message') {
    const member = memberOf(event.sender)
    if (member !== undefined) member.read = Math.max(member.read, event.seq)
  }
  if (event.kind === 'joined') {
    for (const user of (event.body as UsersBody).users) {
      if (memberOf(user) !== undefined) continue
      const from = conversation.history === 'all' ? 1 : event.seq
      const row = { role: 'member', from, joined: event.seq, read: 0 }
      tables.members.set(keyOf(event.conversation, user), row)
    }
  }
  if (event.kind === 'left') {
    for (const user of (event.body as UsersBody).users) {
      tables.members.delete(keyOf(event.conversation, user))
    }
  }
  if (event.kind === 'role') {
    const { user, role } = event.body as RoleBody
    const member = memberOf(user)
    if (member !== undefined) member.role = role
  }
  if (event.kind === 'updated') conversation.title = (event.body as UpdatedBody).title
  changeMessage(tables, event)
}

/** What a reader may see of a message follows from its own row and those of the events about it. */
function changeMessage(tables: Tables, event: Event): void {
  const { conversation, kind, target, seq } = event
  if (target === undefined) return
  const rows = [...tables.messages].filter(([key]) => key.startsWith(`${conversation}/`))
  const message = rows.find(([, row]) => row.kind === 'message' && row.id === target)
  if (message === undefined) return
  const [key, row] = message
  if (kind === 'edit' && row.deletedSeq === null) {
    row.edited = { at: event.at, body: event.body as EventBody }
  }
  if (kind === 'delete' && row.deletedSeq === null) row.deletedSeq = seq
  if (kind === 'reaction' && row.deletedSeq === null) react(tables, key, event)
  if (row.deletedSeq === null) return
  row.edited = null
  const said = ([, { kind, ...r }]: [string, MessageRow]) =>
    r.id === target || (kind === 'edit' && r.target === target)
  for (const [, about] of rows.filter(said)) about.body = null
  for (const reaction of tables.reactions.keys()) {
    if (reaction.startsWith(`${key}/`)) tables.reactions.delete(reaction)
  }
  tables.totals = totalsOf(tables.reactions)
}

function react(tables: Tables, message: string, event: Event): void {
  const { emoji, remove } = event.body as ReactionBody
  const key = keyOf(message, event.sender, emoji)
  if (remove === true) tables.reactions.delete(key)
  else if (!tables.reactions.has(key)) tables.reactions.set(key, event.seq)
  tables.totals = totalsOf(tables.reactions)
}
