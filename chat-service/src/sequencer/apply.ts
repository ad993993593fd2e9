import type { CreatedBody, Event, RoleBody, UpdatedBody, UsersBody } from '@parley/proto/frames'
import type { Position } from '@parley/proto/position'
import type { Accepted, Outcome } from './outcome.ts'
import { type ConversationState, type KeptId, keep } from './state.ts'

/**
 * The state after an outcome. It is changed in place and returned: one partition owns it, and a conversation of
 * thousands of members must not be copied a message. Refusals and duplicates change nothing.
 */
export function apply(
  state: ConversationState,
  outcome: Outcome,
  position: Position,
): ConversationState {
  if (outcome.type !== 'accepted') return state
  const { event, hash } = outcome
  if (event.seq !== state.head + 1) {
    throw new Error(`event ${event.seq} cannot follow head ${state.head} of ${state.id}`)
  }
  state.head = event.seq
  state.lastAt = event.at
  state.lastPosition = position
  keep(state, event.id, keptOf(event, hash, position))
  changeMembers(state, outcome)
  return state
}

function keptOf(event: Event, hash: string, position: Position): KeptId {
  const { seq, at, kind, sender, target } = event
  const kept: KeptId = { hash, seq, at, position, kind, sender }
  if (target !== undefined) kept.target = target
  return kept
}

function changeMembers(state: ConversationState, { event, hash, history }: Accepted): void {
  switch (event.kind) {
    case 'created': {
      const body = event.body as CreatedBody
      state.kind = body.kind
      state.title = body.title
      state.history = history ?? 'all'
      state.createdHash = hash
      state.createdAt = event.at
      for (const user of body.users) {
        const owns = body.kind !== 'direct' && user === event.sender
        state.members.set(user, { role: owns ? 'owner' : 'member', from: 1 })
      }
      return
    }
    case 'joined': {
      const from = state.history === 'all' ? 1 : event.seq
      for (const user of (event.body as UsersBody).users) {
        state.members.set(user, { role: 'member', from })
      }
      return
    }
    case 'left':
      for (const user of (event.body as UsersBody).users) state.members.delete(user)
      return
    case 'role': {
      const { user, role } = event.body as RoleBody
      const member = state.members.get(user)
      if (member) member.role = role
      return
    }
    case 'updated':
      state.title = (event.body as UpdatedBody).title
      return
    case 'message':
    case 'edit':
    case 'delete':
    case 'reaction':
  }
}
