import type { Fields, Foretold, PresentMessage, Shown } from './contract.ts'
import type { Conversation } from './conversation.ts'

/** What users see of a conversation, by the contract. All of it is counted anew from the events. */

/** The events that reads show a member, up to `head`. */
export function eventsFor(
  conversation: Conversation,
  user: string,
  head = conversation.events.length,
): Foretold[] {
  const member = conversation.members.get(user)
  if (member === undefined) return []
  return conversation.events
    .slice(member.from - 1, head)
    .map((event) => asRead(conversation, event, head))
}

/** [B6] An event as a read shows it at `head`: after a delete without what was said. */
export function asRead(conversation: Conversation, event: Foretold, head: number): Foretold {
  const message =
    event.kind === 'message' ? event.id : event.kind === 'edit' ? event.target : undefined
  if (message === undefined || !isDeleted(conversation, message, head)) return event
  const { body: _body, ...rest } = event
  return rest
}

export function isDeleted(
  conversation: Conversation,
  message: string,
  head = conversation.events.length,
): boolean {
  return conversation.events.some(
    (event) => event.kind === 'delete' && event.target === message && event.seq <= head,
  )
}

/** True where a user was a member when this seq was to be seen. */
export function mayHaveSeen(conversation: Conversation, user: string, seq: number): boolean {
  return conversation.stays.some(
    (stay) => stay.user === user && seq >= stay.from && seq <= (stay.to ?? Infinity),
  )
}

/** Messages by others after the read position that are not deleted. */
export function unreadOf(conversation: Conversation, user: string): number {
  const member = conversation.members.get(user)
  if (member === undefined) throw new Error(`no member ${user}`)
  return eventsFor(conversation, user).filter(
    (event) =>
      event.kind === 'message' &&
      event.sender !== user &&
      event.seq > member.read &&
      !isDeleted(conversation, event.id as string),
  ).length
}

/** Messages in their present state, newest first. */
export function messagesFor(conversation: Conversation, user: string): PresentMessage[] {
  return eventsFor(conversation, user)
    .filter((event) => event.kind === 'message')
    .map((event) => presentMessage(conversation, user, event))
    .reverse()
}

function presentMessage(
  conversation: Conversation,
  user: string,
  message: Foretold,
): PresentMessage {
  const { id, seq, sender, at } = message as Required<Foretold>
  if (isDeleted(conversation, id)) return { id, seq, sender, at, deleted: true, reactions: [] }
  const about = conversation.events.filter((event) => event.target === id)
  const edit = about.findLast((event) => event.kind === 'edit')
  const present: PresentMessage = {
    id,
    seq,
    sender,
    at,
    body: (edit ?? message).body as Fields,
    reactions: reactionsOf(about, user),
  }
  if (edit !== undefined) present.editedAt = edit.at as number
  return present
}

/** [S11][H13] In the order of the oldest reaction of each emoji that stands; the script never has more than 50. */
function reactionsOf(about: readonly Foretold[], user: string): PresentMessage['reactions'] {
  const standing = new Map<string, Map<string, number>>()
  for (const { kind, seq, sender, body } of about) {
    if (kind !== 'reaction' || body === undefined) continue
    const emoji = String(body.emoji)
    const seqs = standing.get(emoji) ?? new Map<string, number>()
    standing.set(emoji, seqs)
    if (body.remove === true) seqs.delete(sender)
    else if (!seqs.has(sender)) seqs.set(sender, seq)
  }
  return [...standing]
    .filter(([, seqs]) => seqs.size > 0)
    .sort(([, a], [, b]) => Math.min(...a.values()) - Math.min(...b.values()))
    .map(([emoji, seqs]) => ({ emoji, count: seqs.size, mine: seqs.has(user) }))
}

/**
 * Learns the server's `id` and `at` where they were not known, and says what else differs; undefined when nothing does.
 * The order of `users` is open.
 */
export function differenceFrom(
  conversation: Conversation,
  foretold: Foretold,
  shown: Shown,
): string | undefined {
  if (foretold.id === undefined) foretold.id = shown.id
  if (foretold.at === undefined) {
    const before = conversation.events[foretold.seq - 2]?.at ?? 0
    if (shown.at < before) return `at ${shown.at} of seq ${shown.seq} is before that of the last`
    foretold.at = shown.at
  }
  const expected = plain({ conversation: conversation.id, ...foretold })
  const got = plain(shown)
  return expected === got ? undefined : `foretold ${expected}, shown ${got}`
}

/** Fields of the contract in one order, users sorted. */
function plain(event: Foretold & { conversation: string }): string {
  const { conversation, seq, kind, sender, id, at, target } = event
  const body = event.body && { ...event.body }
  if (body !== undefined && Array.isArray(body.users)) body.users = [...body.users].sort()
  const sortedBody = body && Object.fromEntries(Object.entries(body).sort(byKey))
  return JSON.stringify({ conversation, seq, kind, sender, id, at, target, body: sortedBody })
}

function byKey([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1
}
