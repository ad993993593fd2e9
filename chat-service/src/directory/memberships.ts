import type { Database } from '@parley/platform/ports/database'
import { readMembership } from '../conversations/membership.ts'

/** One conversation of one user, as a gateway needs it. */
export interface MembershipHead {
  conversation: string
  head: number
  from: number
  read: number
  memberCount: number
}

export interface UserMemberships {
  memberships: MembershipHead[]
  more: boolean
}

interface Row {
  place: number
  id: string
  head: number
  from_seq: number
  read_seq: number
  member_count: number
}

/**
 * The conversations of several users, each latest first and at most `limit`, in the order of `users`. One query for
 * all: hellos come in herds. Rejects with `DatabaseUnavailable`.
 */
export async function listMemberships(
  db: Database,
  users: readonly string[],
  limit: number,
): Promise<UserMemberships[]> {
  const lists: UserMemberships[] = users.map(() => ({ memberships: [], more: false }))
  const rows = await db.snapshot((sql) =>
    sql.query<Row>(
      `select u.place::int, m.id, m.head, m.from_seq, m.read_seq, m.member_count
       from unnest($1::uuid[]) with ordinality as u (id, place)
       cross join lateral (
         select c.id, c.head, m.from_seq, least(m.read_seq, c.head) as read_seq, c.member_count, c.last_at
         from members m join conversations c on c.id = m.conversation_id
         where m.user_id = u.id
         order by c.last_at desc, c.id
         limit $2
       ) m
       order by u.place, m.last_at desc, m.id`,
      [users, limit + 1],
      'directory-memberships',
    ),
  )
  for (const row of rows) {
    const list = lists[row.place - 1]
    if (list === undefined) continue
    if (list.memberships.length === limit) list.more = true
    else {
      list.memberships.push({
        conversation: row.id,
        head: row.head,
        from: row.from_seq,
        read: row.read_seq,
        memberCount: row.member_count,
      })
    }
  }
  return lists
}

/** Undefined when the user is outside. Rejects with `DatabaseUnavailable`. */
export async function findMembership(
  db: Database,
  user: string,
  conversation: string,
): Promise<MembershipHead | undefined> {
  const row = await db.snapshot((sql) => readMembership(sql, user, conversation))
  if (row === undefined) return undefined
  const { head, from_seq: from, read_seq: read, member_count: memberCount } = row
  return { conversation, head, from, read, memberCount }
}

/** Which of `users` share a conversation with `user`; it shares one with itself. Rejects with `DatabaseUnavailable`. */
export async function listAcquaintances(
  db: Database,
  user: string,
  users: readonly string[],
): Promise<string[]> {
  const rows = await db.snapshot((sql) =>
    sql.query<{ id: string }>(
      `select u.id from unnest($2::uuid[]) as u (id)
       where u.id = $1 or exists (
         select from members theirs join members mine on mine.conversation_id = theirs.conversation_id
         where theirs.user_id = u.id and mine.user_id = $1
       )`,
      [user, users],
      'directory-acquaintances',
    ),
  )
  return rows.map((row) => row.id)
}
