import type { Database } from '@parley/platform/ports/database'
import { isId } from '@parley/proto/ids'

/** What whoever runs the server sees of a user. */
export interface ListedUser {
  id: string
  username: string
  displayName: string
  /** ISO 8601, in UTC. */
  createdAt: string
  /** Those that hold. */
  sessions: number
}

const pageUsers = 500

/** All users by username, read page by page. */
export async function* listUsers(database: Database): AsyncGenerator<ListedUser> {
  for (let after = ''; ; ) {
    const page = await database.snapshot((sql) =>
      sql.query<ListedUser>(
        `select u.id, u.username, u.display_name as "displayName",
           to_char(u.created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as "createdAt",
           (select count(*) from sessions s
            where s.user_id = u.id and s.revoked_at is null and s.expires_at > now())::int as sessions
         from users u where u.username > $1 order by u.username limit $2`,
        [after, pageUsers],
      ),
    )
    yield* page
    const last = page.at(-1)
    if (page.length < pageUsers || last === undefined) return
    after = last.username
  }
}

/**
 * [G11] Ends every session of a user, given by username or id: how many held, or undefined when there is no such user.
 * Nobody is told; who holds sessions asks for ended ones every few seconds.
 */
export function endSessionsOf(
  database: Database,
  user: string,
  nowMs: number,
): Promise<number | undefined> {
  return database.transaction(async (sql) => {
    const [found] = await sql.query<{ id: string }>(
      `select id from users where ${isId(user) ? 'id' : 'username'} = $1`,
      [user],
    )
    if (found === undefined) return undefined
    const ended = await sql.query(
      `update sessions set revoked_at = $2
       where user_id = $1 and revoked_at is null and expires_at > $2 returning id`,
      [found.id, new Date(nowMs)],
    )
    return ended.length
  })
}
