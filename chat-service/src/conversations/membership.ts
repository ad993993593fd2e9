import type { Sql } from '@parley/platform/ports/database'
import { failure } from '@parley/proto/errors'
import type { ConversationKind, History, Role } from '@parley/proto/frames'

/** A conversation as one member sees it. */
export interface MembershipRow {
  id: string
  kind: ConversationKind
  title: string | null
  history: History
  head: number
  member_count: number
  role: Role
  from_seq: number
  /** [G9] Never past the head. */
  read_seq: number
}

/** [G6] Outside a conversation there is none. */
export const outside = failure('not_found', 'no such conversation')

/** Undefined when the user is outside, or the conversation is not there. */
export async function readMembership(
  sql: Sql,
  user: string,
  conversation: string,
): Promise<MembershipRow | undefined> {
  const rows = await sql.query<MembershipRow>(
    `select c.id, c.kind, c.title, c.history, c.head, c.member_count, m.role, m.from_seq,
            least(m.read_seq, c.head) as read_seq
     from members m join conversations c on c.id = m.conversation_id
     where m.conversation_id = $1 and m.user_id = $2`,
    [conversation, user],
    'membership',
  )
  return rows[0]
}
