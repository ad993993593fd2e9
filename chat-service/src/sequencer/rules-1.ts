import type {
  AddCommand,
  Command,
  CreateCommand,
  DeleteCommand,
  EditCommand,
  ReactCommand,
  RemoveCommand,
  RoleCommand,
} from '@parley/proto/commands'
import type { Event, EventBody, EventKind } from '@parley/proto/frames'
import { directConversationId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { type Found, type Outcome, refused } from './outcome.ts'
import type { ConversationState, MemberState } from './state.ts'

/** What a decision rests on besides state and command. */
export interface Known {
  /** `contentHash` of the command. */
  hash: string
  /** The accepted event with an id, if there is one up to the head. */
  find(id: string): Found | undefined
}

/**
 * [R12] Rules number 1. Once released these answers never change: a change is a new file with the next number.
 * The caller has answered duplicates and checked the id.
 */
export function decideByRules1(
  state: ConversationState,
  command: Command,
  { hash, find }: Known,
): Outcome {
  if (command.type === 'create') return create(state, command, hash)
  const member = state.members.get(command.sender)
  if (member === undefined) return refused('not_found', 'no such conversation')
  switch (command.type) {
    case 'send':
      if (state.kind === 'channel' && member.role === 'member') {
        return refused('forbidden', 'only owners and admins post in a channel')
      }
      return accept(state, command, hash, { kind: 'message', body: command.body })
    case 'add':
      return add(state, command, member, hash)
    case 'remove':
      return remove(state, command, member, hash)
    case 'role':
      return role(state, command, member, hash)
    case 'update':
      return (
        adminOnly(state, member) ??
        accept(state, command, hash, { kind: 'updated', body: { title: command.title } })
      )
    case 'edit':
    case 'delete':
    case 'react':
      return change(state, command, { member, hash, message: find(command.target) })
  }
}

/** What is done to a message: only while it is there. */
function change(
  state: ConversationState,
  command: EditCommand | DeleteCommand | ReactCommand,
  known: { member: MemberState; hash: string; message: Found | undefined },
): Outcome {
  const { member, hash, message } = known
  const { target } = command
  const gone = message?.kind !== 'message' || message.deletedSeq !== undefined
  if (gone || message.seq < member.from) return refused('not_found', 'no such message')
  const own = message.sender === command.sender
  switch (command.type) {
    case 'edit':
      if (!own) return refused('forbidden', 'only its sender edits a message')
      return accept(state, command, hash, { kind: 'edit', target, body: command.body })
    case 'delete':
      if (!own && member.role === 'member') {
        return refused('forbidden', 'only its sender, an owner or an admin deletes a message')
      }
      return accept(state, command, hash, { kind: 'delete', target })
    case 'react': {
      const { emoji } = command
      const body = command.remove === true ? { emoji, remove: true } : { emoji }
      return accept(state, command, hash, { kind: 'reaction', target, body })
    }
  }
}

function create(state: ConversationState, command: CreateCommand, hash: string): Outcome {
  if (state.head > 0) {
    const same =
      state.kind === 'direct' ? state.members.has(command.sender) : state.createdHash === hash
    if (same) return { type: 'duplicate', seq: 1, at: state.createdAt, again: false }
    return refused('id_conflict', 'a conversation with this id and other content exists')
  }
  const { kind, members, sender, history, title } = command
  if (!members.includes(sender)) return refused('invalid', 'members must hold the sender')
  if (members.length > limits.groupMembers) {
    return refused('too_large', `a conversation has at most ${limits.groupMembers} members`)
  }
  if (kind === 'direct') {
    const [a, b] = members
    const two = members.length === 2 && a !== undefined && b !== undefined && a !== b
    if (!two || directConversationId(a, b) !== command.conversation) {
      return refused('invalid', 'a direct conversation has two members and the id made of them')
    }
  }
  const body = title === undefined ? { kind, users: members } : { kind, title, users: members }
  return { ...accept(state, command, hash, { kind: 'created', body }), history } as Outcome
}

function add(
  state: ConversationState,
  command: AddCommand,
  member: MemberState,
  hash: string,
): Outcome {
  const refusal = adminOnly(state, member)
  if (refusal) return refusal
  const users = command.users.filter((user) => !state.members.has(user))
  if (users.length === 0) return refused('conflict', 'all of these are members already')
  if (state.members.size + users.length > limits.groupMembers) {
    return refused('too_large', `a conversation has at most ${limits.groupMembers} members`)
  }
  return accept(state, command, hash, { kind: 'joined', body: { users } })
}

function remove(
  state: ConversationState,
  command: RemoveCommand,
  member: MemberState,
  hash: string,
): Outcome {
  if (state.kind === 'direct')
    return refused('forbidden', 'a direct conversation keeps its members')
  const target = state.members.get(command.user)
  const leaves = command.user === command.sender
  if (!leaves) {
    const refusal = adminOnly(state, member)
    if (refusal) return refusal
    if (target === undefined) return refused('not_found', 'that user is no member')
    if (target.role === 'owner' && member.role !== 'owner') {
      return refused('forbidden', 'only an owner removes an owner')
    }
  }
  if (leaves && member.role === 'owner' && owners(state) === 1 && state.members.size > 1) {
    return refused('conflict', 'the last owner hands over before leaving')
  }
  return accept(state, command, hash, { kind: 'left', body: { users: [command.user] } })
}

function role(
  state: ConversationState,
  command: RoleCommand,
  member: MemberState,
  hash: string,
): Outcome {
  if (state.kind === 'direct') return refused('forbidden', 'a direct conversation has no roles')
  if (member.role !== 'owner') return refused('forbidden', 'only an owner changes roles')
  const target = state.members.get(command.user)
  if (target === undefined) return refused('not_found', 'that user is no member')
  if (target.role === 'owner' && command.role !== 'owner' && owners(state) === 1) {
    return refused('conflict', 'a conversation keeps at least one owner')
  }
  const body = { user: command.user, role: command.role }
  return accept(state, command, hash, { kind: 'role', body })
}

function adminOnly(state: ConversationState, member: MemberState): Outcome | undefined {
  if (state.kind === 'direct')
    return refused('forbidden', 'a direct conversation cannot be changed')
  if (member.role === 'member') return refused('forbidden', 'only owners and admins may do this')
  return undefined
}

function owners(state: ConversationState): number {
  let count = 0
  for (const member of state.members.values()) if (member.role === 'owner') count += 1
  return count
}

function accept(
  state: ConversationState,
  command: Command,
  hash: string,
  what: { kind: EventKind; body?: EventBody; target?: string },
): Outcome {
  const event: Event = {
    type: 'event',
    conversation: command.conversation,
    seq: state.head + 1,
    id: command.id,
    sender: command.sender,
    at: Math.max(command.at, state.lastAt),
    ...what,
  }
  return { type: 'accepted', event, hash }
}
