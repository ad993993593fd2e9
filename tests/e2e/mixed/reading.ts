import { eventually } from '../harness/deadline.ts'
import type { EventFrame } from '../harness/frames.ts'
import type { PresentMessage } from '../model/contract.ts'
import { asRead, differenceFrom, messagesFor, unreadOf } from '../model/seen.ts'
import { lost } from './device.ts'
import type { Room } from './room.ts'

/** What reads show, held against the model. A page may lag, and says so by its `head`; below that it is exact. */

export interface Page {
  events: EventFrame[]
  head: number
  from: number
  more: boolean
}

/** Throws unless the page is what the contract has after `after`, up to `limit`, at its own head. */
export function expectPage(
  { model }: Room,
  user: string,
  { page, after, limit }: { page: Page; after: number; limit: number },
): void {
  const member = model.members.get(user)
  if (member === undefined) throw new Error(`${user} is no member and got a page`)
  const where = `page of ${model.id} after ${after} up to ${limit} for ${user}`
  if (page.from !== member.from) throw new Error(`${where}: from ${page.from}, not ${member.from}`)
  if (page.head > model.events.length) {
    throw new Error(`${where}: head ${page.head}, there are ${model.events.length}`)
  }
  const first = Math.max(member.from, after + 1)
  const count = Math.max(0, Math.min(limit, page.head - first + 1))
  if (page.events.length > count) throw new Error(`${where}: ${page.events.length} events`)
  // A page may hold fewer (256 KiB), and then there are more.
  const last = first + page.events.length - 1
  const more = page.head > last && page.head >= first
  if (page.more !== more) throw new Error(`${where}: more is ${page.more} at ${last}/${page.head}`)
  if (more && page.events.length === 0) throw new Error(`${where}: more, and no events`)
  for (const [i, event] of page.events.entries()) expectEvent(model, event, first + i, page.head)
}

function expectEvent(model: Room['model'], event: EventFrame, seq: number, head: number): void {
  const foretold = model.events[seq - 1]
  if (foretold === undefined || event.seq !== seq) {
    throw new Error(`${seq} of ${model.id} is ${JSON.stringify(event)}`)
  }
  const readable = { ...asRead(model, foretold, head) }
  const difference = differenceFrom(model, readable, event)
  if (difference !== undefined) throw new Error(difference)
  foretold.id ??= event.id
  foretold.at ??= event.at
}

/** [Y1] A `sync` of someone of the cast, member or not. */
export async function expectSyncedPage(room: Room, user: string): Promise<void> {
  const { dice, model, players } = room
  const after = dice.integer(0, model.events.length + 1)
  const limit = dice.pick([1, 3, 10, 100, 500])
  const device = await players.onlineDeviceOf(user, dice)
  const told = device.view.conversations.get(model.id)?.head ?? 0
  const page = await device.sync(model.id, after, limit)
  if (page === lost) return
  if (page.type === 'error') {
    if (page.retryable) return
    const code = model.members.has(user) ? 'none' : 'not_found'
    if (page.code !== code) throw new Error(`sync by ${user}: ${JSON.stringify(page)}, not ${code}`)
    return
  }
  if (page.head < told) throw new Error(`sync says head ${page.head}, told ${told} before`)
  expectPage(room, user, { page, after, limit })
}

/** [H3] The same over REST. */
export async function expectEventsPage(room: Room, user: string): Promise<void> {
  const { dice, model } = room
  const after = dice.integer(0, model.events.length + 1)
  const limit = dice.pick([1, 3, 10, 100, 500])
  const page = await getFrom<Page>(room, user, `events?after=${after}&limit=${limit}`)
  if (page !== 'not_found') expectPage(room, user, { page, after, limit })
  else if (model.members.has(user)) throw new Error(`events for ${user}: not_found`)
}

/** Undefined for what is kept from someone outside; throws on any other refusal. */
async function getFrom<T>(room: Room, user: string, what: string): Promise<T | 'not_found'> {
  const path = `/v1/conversations/${room.model.id}${what === '' ? '' : `/${what}`}`
  const { status, text } = await room.players.untilAnswered(user, { method: 'GET', path })
  if (status === 200) return JSON.parse(text) as T
  const { code } = JSON.parse(text)
  if (code === 'not_found') return code
  throw new Error(`GET ${path} by ${user}: ${status} ${text}`)
}

interface ListEntry {
  id: string
  kind: string
  title?: string
  head: number
  from: number
  read: number
  unread: number
  role: string
  lastMessage?: PresentMessage
}

/** [G9] One's list shows the conversation as the model has it, as soon as reads have caught up. */
export async function expectListEntry(room: Room, user: string): Promise<void> {
  const { model } = room
  await eventually(
    `the list of ${user} shows ${model.id} as it is`,
    async () => {
      const got = plain(await listEntry(room, user))
      const wanted = plain(foretoldEntry(room, user))
      if (got !== wanted) throw new Error(`it shows ${got}, not ${wanted}`)
      return true
    },
    { deadlineMs: 15_000 },
  )
}

async function listEntry(room: Room, user: string): Promise<ListEntry | undefined> {
  for (let cursor = ''; ; ) {
    const query = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const path = `/v1/conversations?limit=100${query}`
    const { status, text } = await room.players.untilAnswered(user, { method: 'GET', path })
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${text}`)
    const { conversations, next } = JSON.parse(text) as {
      conversations: ListEntry[]
      next?: string
    }
    const entry = conversations.find(({ id }) => id === room.model.id)
    if (entry !== undefined || next === undefined) return entry
    cursor = next
  }
}

function foretoldEntry({ model }: Room, user: string): ListEntry | undefined {
  const member = model.members.get(user)
  if (member === undefined) return undefined
  const { id, kind, title } = model
  const { from, read, role } = member
  const unread = unreadOf(model, user)
  const entry: ListEntry = { id, kind, head: model.events.length, from, read, unread, role }
  if (title !== undefined) entry.title = title
  const [lastMessage] = messagesFor(model, user)
  if (lastMessage !== undefined) entry.lastMessage = lastMessage
  return entry
}

/** [H8] `messages` in pages, newest first, when reads have caught up with the model. */
export async function expectMessages(room: Room, user: string): Promise<void> {
  const { model, dice } = room
  const limit = dice.pick([3, 20, 100, 500])
  await eventually(`the messages of ${model.id} for ${user}`, async () => {
    const messages: PresentMessage[] = []
    for (let more = true; more; ) {
      const before = messages.length === 0 ? '' : `&before=${messages.at(-1)?.seq}`
      type MessagePage = { messages: PresentMessage[]; more: boolean }
      const page = await getFrom<MessagePage>(room, user, `messages?limit=${limit}${before}`)
      if (page === 'not_found') throw new Error('not_found')
      messages.push(...page.messages)
      more = page.more
      if (more && page.messages.length === 0) throw new Error('more, and no messages')
    }
    const wanted = messagesFor(model, user)
    for (const [i, message] of messages.entries()) {
      if (plain(message) !== plain(wanted[i])) {
        throw new Error(`it shows ${plain(message)}, not ${plain(wanted[i])}`)
      }
    }
    if (messages.length !== wanted.length) {
      throw new Error(`${messages.length} messages, not ${wanted.length}`)
    }
    return true
  })
}

/** [H3] Who belongs to it, as what, and what one may see. */
export async function expectDetail(room: Room, user: string): Promise<void> {
  const { model } = room
  await eventually(`GET ${model.id} by ${user}`, async () => {
    const got = await getFrom<{ conversation: Detail }>(room, user, '')
    const member = model.members.get(user)
    if (got === 'not_found' || member === undefined) {
      if (got === 'not_found' && member === undefined) return true
      throw new Error(got === 'not_found' ? 'not_found' : 'it is shown to one outside')
    }
    const { id, kind, history, title } = model
    const { from, role } = member
    const members = [...model.members].map(([who, m]) => ({ user: who, role: m.role }))
    const wanted: Detail = {
      id,
      kind,
      history,
      head: model.events.length,
      from,
      role,
      memberCount: members.length,
      members,
    }
    if (title !== undefined) wanted.title = title
    const shown = plain(got.conversation)
    if (shown !== plain(wanted)) throw new Error(`it shows ${shown}, not ${plain(wanted)}`)
    return true
  })
}

interface Detail {
  id: string
  kind: string
  title?: string
  history: string
  head: number
  from: number
  role: string
  memberCount: number
  members: { user: string; role: string }[]
}

/** Fields and members in one order, since the contract has none for them. */
function plain(value: unknown): string {
  return JSON.stringify(sorted(value))
}

function sorted(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) {
    const entries = value.map((entry) => sorted(entry))
    const open = name === 'members' || name === 'reactions'
    return open ? entries.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : entries
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => [key, sorted(field, key)]),
  )
}
