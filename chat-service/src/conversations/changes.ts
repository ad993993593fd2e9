import type { CommandDraft, CommandWriter } from '@parley/platform/command-writer/command-writer'
import type { Database } from '@parley/platform/ports/database'
import { type Failure, failure } from '@parley/proto/errors'
import type { MessageBody, Role } from '@parley/proto/frames'
import { idVersion, newId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { checkName } from '../accounts/name-rules.ts'
import { type ConversationInfo, readConversation } from './conversation-info.ts'
import { type CreationRequest, draftCreation } from './creation.ts'
import type { ProjectedHeads } from './projected-heads.ts'
import { type Accepted, submit } from './submit.ts'

export interface ChangesParts {
  writer: Pick<CommandWriter, 'submit'>
  heads: Pick<ProjectedHeads, 'waitFor'>
  database: Database
  users: { missing(ids: readonly string[]): Promise<string[]> }
}

/** Who changes what. */
export interface ChangeScope {
  sender: string
  conversation: string
}

export type Changed = { ok: true; conversation: ConversationInfo } | Failure

/**
 * Writes to conversations over REST: each is a command in the log, as if it came from a gateway. A change to a
 * conversation or its members is answered once the database shows it; `unavailable` after 5 s means that it stands in
 * the log and is not readable yet, or *unknown*, and the same request may be sent again.
 */
export interface Changes {
  create(
    sender: string,
    request: CreationRequest,
  ): Promise<{ ok: true; created: boolean; conversation: ConversationInfo } | Failure>
  /** The same path and guarantees as `send`: answered when durable, not waiting for the database. */
  send(scope: ChangeScope, message: { id: string; body: MessageBody }): Promise<Accepted | Failure>
  addMembers(scope: ChangeScope, request: { id?: string; members: string[] }): Promise<Changed>
  /** Removal of oneself is leaving. */
  removeMember(scope: ChangeScope, user: string): Promise<{ ok: true } | Failure>
  setRole(scope: ChangeScope, user: string, role: Role): Promise<Changed>
  setTitle(scope: ChangeScope, title: string): Promise<Changed>
}

const projectedWithinMs = 5_000

export function createChanges({ writer, heads, database, users }: ChangesParts): Changes {
  async function change(draft: CommandDraft): Promise<Accepted | Failure> {
    const accepted = await submit(writer, draft)
    if (!accepted.ok) return accepted
    const shown = await heads.waitFor(draft.conversation, accepted.seq, projectedWithinMs)
    return shown.ok ? accepted : shown
  }

  async function changeAndShow(draft: CommandDraft): Promise<Changed> {
    const changed = await change(draft)
    return changed.ok ? show(draft.sender, draft.conversation) : changed
  }

  function show(user: string, conversation: string): Promise<Changed> {
    return readConversation(database, { user, conversation, limit: limits.pageEntries })
  }

  async function refuseStrangers(ids: readonly string[]): Promise<Failure | undefined> {
    const [missing] = await users.missing(ids)
    return missing === undefined
      ? undefined
      : failure('invalid', `members: no user has the id ${missing}`)
  }

  return {
    async create(sender, request) {
      const drafted = draftCreation(sender, request)
      if (!drafted.ok) return drafted
      const { draft } = drafted
      const refused =
        (request.title === undefined ? undefined : checkName('title', request.title)) ??
        (await refuseStrangers(draft.members))
      if (refused) return refused
      const changed = await change(draft)
      if (!changed.ok) return changed
      const shown = await show(sender, draft.conversation)
      return shown.ok ? { ...shown, created: !changed.duplicate } : shown
    },

    send: (scope, { id, body }) => submit(writer, { type: 'send', ...scope, id, body }),

    async addMembers(scope, { id = newId(), members }) {
      if (idVersion(id) !== 7) return failure('invalid', 'id must be a version 7 UUID')
      const added = [...new Set(members)].toSorted()
      if (added.length === 0 || added.length > limits.commandMembers) {
        return failure('invalid', `members names 1 to ${limits.commandMembers} users`)
      }
      const refused = await refuseStrangers(added)
      return refused ?? changeAndShow({ type: 'add', ...scope, id, users: added })
    },

    async removeMember(scope, user) {
      const changed = await change({ type: 'remove', ...scope, id: newId(), user })
      return changed.ok ? { ok: true } : changed
    },

    setRole: (scope, user, role) =>
      changeAndShow({ type: 'role', ...scope, id: newId(), user, role }),

    async setTitle(scope, title) {
      const refused = checkName('title', title)
      return refused ?? changeAndShow({ type: 'update', ...scope, id: newId(), title })
    },
  }
}
