import type { Database } from '@parley/platform/ports/database'
import type { Failure } from '@parley/proto/errors'
import type { ConversationKind, History, Role } from '@parley/proto/frames'
import { type MembershipRow, outside, readMembership } from './membership.ts'

/** A conversation with a page of its members, as REST shows it. */
export interface ConversationInfo {
  id: string
  kind: ConversationKind
  title?: string
  history: History
  head: number
  /** The first seq this member may see. */
  from: number
  role: Role
  memberCount: number
  /** By user id. */
  members: { user: string; role: Role }[]
  /** The `cursor` of the next page of members, when there is one. */
  next?: string
}

export interface InfoRequest {
  user: string
  conversation: string
  /** Members of the page. */
  limit: number
  /** The last member of the page before. */
  after?: string
}

/** `not_found` to one outside. Rejects with `DatabaseUnavailable`. */
export function readConversation(
  database: Database,
  request: InfoRequest,
): Promise<{ ok: true; conversation: ConversationInfo } | Failure> {
  return database.snapshot(async (sql) => {
    const member = await readMembership(sql, request.user, request.conversation)
    if (member === undefined) return outside
    const members = await sql.query<{ user: string; role: Role }>(
      `select user_id as "user", role from members
       where conversation_id = $1 and ($2::uuid is null or user_id > $2) order by user_id limit $3`,
      [request.conversation, request.after ?? null, request.limit + 1],
      'conversation-members',
    )
    return { ok: true, conversation: infoOf(member, members, request.limit) }
  })
}

function infoOf(
  row: MembershipRow,
  members: ConversationInfo['members'],
  limit: number,
): ConversationInfo {
  const info: ConversationInfo = {
    id: row.id,
    kind: row.kind,
    history: row.history,
    head: row.head,
    from: row.from_seq,
    role: row.role,
    memberCount: row.member_count,
    members: members.slice(0, limit),
  }
  if (row.title !== null) info.title = row.title
  const last = info.members.at(-1)
  if (members.length > limit && last) info.next = last.user
  return info
}
