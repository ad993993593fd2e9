import type {
  Command,
  Fields,
  Foretold,
  History,
  Kind,
  Member,
  Refusal,
  Stay,
  Verdict,
} from './contract.ts'

/** A conversation as the contract has it, in memory and in one order. */
export interface Conversation {
  id: string
  kind: Kind
  history: History
  title?: string
  /** The event of seq n stands at n − 1. */
  events: Foretold[]
  members: Map<string, Member>
  stays: Stay[]
  /** Every accepted id, with what it was accepted for. */
  accepted: Map<string, { by: string; content: string; seq: number }>
}

export interface Creation {
  id: string
  kind: Kind
  members: readonly string[]
  title?: string
  history?: History
}

export function createConversation(by: string, creation: Creation): Conversation {
  const { id, kind, title, history = 'all' } = creation
  const users = [...new Set([by, ...creation.members])]
  const body: Fields = { kind, users }
  if (title !== undefined) body.title = title
  const conversation: Conversation = {
    id,
    kind,
    history,
    events: [{ seq: 1, kind: 'created', sender: by, body }],
    members: new Map(),
    stays: [],
    accepted: new Map(),
  }
  if (title !== undefined) conversation.title = title
  for (const user of users) {
    // A direct conversation has no roles: neither of the two may do what the other may not.
    enter(conversation, user, 1)
    if (user === by && kind !== 'direct') memberOf(conversation, user).role = 'owner'
  }
  return conversation
}

/** What the contract says of a command now. Changes nothing. */
export function decide(conversation: Conversation, by: string, command: Command): Verdict {
  const before = 'id' in command && conversation.accepted.get(command.id ?? '')
  const member = conversation.members.get(by)
  if (before) {
    const event = conversation.events[before.seq - 1] as Foretold
    if (before.by === by && before.content === contentOf(command)) {
      return { ok: true, duplicate: event }
    }
    return refused(member === undefined ? 'not_found' : 'id_conflict')
  }
  if (member === undefined) return refused('not_found')
  switch (command.type) {
    case 'send':
      if (conversation.kind === 'channel' && member.role === 'member') return refused('forbidden')
      return accepted(conversation, by, command, { kind: 'message', body: command.body })
    case 'edit':
    case 'delete':
    case 'react':
      return decideOnMessage(conversation, by, command)
    default:
      return decideOnMembers(conversation, by, command)
  }
}

function decideOnMessage(
  conversation: Conversation,
  by: string,
  command: Extract<Command, { target: string }>,
): Verdict {
  const { role, from } = memberOf(conversation, by)
  const { target } = command
  const message = conversation.events.find((e) => e.id === target && e.kind === 'message')
  const deleted = conversation.events.some((e) => e.kind === 'delete' && e.target === target)
  if (message === undefined || deleted || message.seq < from) return refused('not_found')
  const own = message.sender === by
  switch (command.type) {
    case 'edit':
      if (!own) return refused('forbidden')
      return accepted(conversation, by, command, { kind: 'edit', target, body: command.body })
    case 'delete':
      if (!own && role === 'member') return refused('forbidden')
      return accepted(conversation, by, command, { kind: 'delete', target })
    case 'react': {
      const body: Fields = { emoji: command.emoji }
      if (command.remove === true) body.remove = true
      return accepted(conversation, by, command, { kind: 'reaction', target, body })
    }
  }
}

function decideOnMembers(
  conversation: Conversation,
  by: string,
  command: Extract<Command, { type: 'add' | 'remove' | 'role' | 'title' }>,
): Verdict {
  const { members } = conversation
  const { role } = memberOf(conversation, by)
  if (conversation.kind === 'direct') return refused('forbidden')
  const owners = [...members.values()].filter((m) => m.role === 'owner').length
  const leaves = command.type === 'remove' && command.user === by
  if (role === 'member' && !leaves) return refused('forbidden')
  switch (command.type) {
    case 'title':
      return accepted(conversation, by, command, {
        kind: 'updated',
        body: { title: command.title },
      })
    case 'add': {
      const users = [...new Set(command.users)].filter((user) => !members.has(user))
      if (users.length === 0) return refused('conflict')
      return accepted(conversation, by, command, { kind: 'joined', body: { users } })
    }
    case 'remove': {
      const target = members.get(command.user)
      if (target === undefined) return refused('not_found')
      if (!leaves && target.role === 'owner' && role !== 'owner') return refused('forbidden')
      if (leaves && role === 'owner' && owners === 1) {
        return refused(members.size > 1 ? 'conflict' : 'unforeseen')
      }
      return accepted(conversation, by, command, { kind: 'left', body: { users: [command.user] } })
    }
    case 'role': {
      if (role !== 'owner') return refused('forbidden')
      const target = members.get(command.user)
      if (target === undefined) return refused('not_found')
      if (target.role === 'owner' && command.role !== 'owner' && owners === 1) {
        return refused('conflict')
      }
      const body = { user: command.user, role: command.role }
      return accepted(conversation, by, command, { kind: 'role', body })
    }
  }
}

/** Adds an event that `decide` foretold to the conversation, with the server's `at` and `id` where they are known. */
export function accept(
  conversation: Conversation,
  by: string,
  command: Command,
  event: Foretold,
): void {
  if (event.seq !== conversation.events.length + 1) throw new Error('the model skips a seq')
  conversation.events.push(event)
  if (event.id !== undefined && 'id' in command) {
    conversation.accepted.set(event.id, { by, content: contentOf(command), seq: event.seq })
  }
  switch (command.type) {
    case 'send':
      moveRead(conversation, by, event.seq)
      break
    case 'add':
      for (const user of (event.body as { users: string[] }).users) {
        enter(conversation, user, event.seq)
      }
      break
    case 'remove': {
      conversation.members.delete(command.user)
      const stay = conversation.stays.find((s) => s.user === command.user && s.to === undefined)
      if (stay !== undefined) stay.to = event.seq
      break
    }
    case 'role':
      memberOf(conversation, command.user).role = command.role
      break
    case 'title':
      conversation.title = command.title
  }
}

/** `read` by a user; false when it is `not_found`. */
export function read(conversation: Conversation, by: string, seq: number): boolean {
  if (!conversation.members.has(by)) return false
  moveRead(conversation, by, Math.min(seq, conversation.events.length))
  return true
}

/** The same, to try things on. */
export function copyOf(conversation: Conversation): Conversation {
  return structuredClone(conversation)
}

function moveRead(conversation: Conversation, user: string, seq: number): void {
  const member = memberOf(conversation, user)
  member.read = Math.max(member.read, seq)
}

function enter(conversation: Conversation, user: string, seq: number): void {
  const from = conversation.history === 'all' ? 1 : seq
  conversation.members.set(user, { role: 'member', from, read: 0 })
  conversation.stays.push({ user, from })
}

function memberOf(conversation: Conversation, user: string): Member {
  const member = conversation.members.get(user)
  if (member === undefined) throw new Error(`the model has no member ${user}`)
  return member
}

function accepted(
  conversation: Conversation,
  by: string,
  command: Command,
  what: Pick<Foretold, 'kind' | 'body' | 'target'>,
): Verdict {
  const event: Foretold = { seq: conversation.events.length + 1, sender: by, ...what }
  if ('id' in command && command.id !== undefined) event.id = command.id
  return { ok: true, event }
}

function refused(code: Refusal): Verdict {
  return { ok: false, code }
}

/** The commands of the script write their fields in one order, so equal text is equal content. */
function contentOf(command: Command): string {
  return JSON.stringify(command)
}
