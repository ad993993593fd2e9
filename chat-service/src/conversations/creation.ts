import type { CommandDraft } from '@parley/platform/command-writer/command-writer'
import { type Failure, failure } from '@parley/proto/errors'
import type { ConversationKind, History } from '@parley/proto/frames'
import { directConversationId, idVersion, newId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'

/** What `POST /v1/conversations` says; ids are well-formed already. */
export interface CreationRequest {
  id?: string
  kind: ConversationKind
  members: string[]
  title?: string
  history?: History
}

/**
 * The command that makes a conversation. A group's command has the conversation's id, so that a retry with the id is
 * the same command; a direct conversation is the same by its own id, so each command has a new one.
 */
export function draftCreation(
  sender: string,
  request: CreationRequest,
): { ok: true; draft: CommandDraft & { type: 'create' } } | Failure {
  const named = new Set(request.members)
  if (named.size > limits.commandMembers) {
    return failure('invalid', `members names at most ${limits.commandMembers} users`)
  }
  const members = [...named.add(sender)].toSorted()
  return request.kind === 'direct'
    ? draftDirect(sender, members, request)
    : draftGroup(sender, members, request)
}

function draftDirect(sender: string, members: string[], request: CreationRequest) {
  const [a, b] = members
  if (a === undefined || b === undefined || members.length !== 2) {
    return failure('invalid', 'members of a direct conversation are the caller and one other user')
  }
  if (request.title !== undefined) {
    return failure('invalid', 'a direct conversation has no title')
  }
  const conversation = directConversationId(a, b)
  if (request.id !== undefined && request.id !== conversation) {
    return failure('invalid', 'id must be the one made of the two users, or absent')
  }
  const draft = {
    type: 'create' as const,
    id: newId(),
    conversation,
    sender,
    kind: 'direct' as const,
    /* Both are there from the first event on. */
    history: 'all' as const,
    members,
  }
  return { ok: true as const, draft }
}

function draftGroup(sender: string, members: string[], request: CreationRequest) {
  const { id = newId(), kind, title, history = 'all' } = request
  if (idVersion(id) !== 7) return failure('invalid', 'id must be a version 7 UUID')
  const base = { type: 'create' as const, id, conversation: id, sender, kind, history, members }
  return { ok: true as const, draft: title === undefined ? base : { ...base, title } }
}
