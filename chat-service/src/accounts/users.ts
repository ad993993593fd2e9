import type { Database } from '@parley/platform/ports/database'
import { type Failure, failure } from '@parley/proto/errors'
import { newId } from '@parley/proto/ids'
import { Credential, User, type UserRow } from './entities.ts'
import { lockInvite, redeemInvite } from './invites.ts'

/** A user as everyone sees it. */
export interface UserView {
  id: string
  username: string
  displayName: string
}

export interface UserPage {
  users: UserView[]
  /** The `cursor` of the next page, when there is one. */
  next?: string
}

export interface NewUser {
  username: string
  displayName: string
  passwordHash: string
}

export interface Users {
  /**
   * `conflict` when the username is taken. With `invite` that is redeemed with it, or `forbidden` and neither has
   * happened. The caller has checked the rules of names.
   */
  create(user: NewUser, invite?: string): Promise<{ ok: true; user: UserView } | Failure>
  byId(id: string): Promise<UserView | undefined>
  byUsername(username: string): Promise<UserView | undefined>
  passwordHash(id: string): Promise<string | undefined>
  rename(id: string, displayName: string): Promise<UserView | undefined>
  /** Users whose username or display name begins with `query`, whatever its case; by username, after `after`. */
  search(query: string, limit: number, after: string | undefined): Promise<UserPage>
  /** Those of `ids` that are no user. */
  missing(ids: readonly string[]): Promise<string[]>
}

/**
 * Never prepared: only a plan made for these very patterns can use the indexes. The display name is put in lower case by
 * the server on both sides, since its idea of case depends on its locale.
 */
export const searchUsers = `select id, username, display_name from users
  where (username like $1 or lower(display_name) like lower($2)) and username > $3
  order by username limit $4`

interface FoundRow {
  id: string
  username: string
  display_name: string
}

export function createUsers(database: Database, now: () => number): Users {
  const { orm } = database
  return {
    create: ({ username, displayName, passwordHash }, invite) =>
      database.transaction(async (sql) => {
        const at = new Date(now())
        const id = newId(now())
        const refused = invite === undefined ? undefined : await lockInvite(sql, invite, now())
        if (refused) return refused
        const made = await sql.query(
          `insert into users (id, username, display_name, created_at) values ($1, $2, $3, $4)
           on conflict (username) do nothing returning id`,
          [id, username, displayName, at],
        )
        if (made.length === 0) return usernameTaken(username)
        await sql.query(
          'insert into credentials (user_id, password_hash, changed_at) values ($1, $2, $3)',
          [id, passwordHash, at],
        )
        if (invite !== undefined) await redeemInvite(sql, invite)
        return { ok: true, user: { id, username, displayName } }
      }),

    async byId(id) {
      return viewOf(await orm.em.fork().findOne(User, { id }))
    },
    async byUsername(username) {
      return viewOf(await orm.em.fork().findOne(User, { username }))
    },
    async passwordHash(id) {
      return (await orm.em.fork().findOne(Credential, { userId: id }))?.passwordHash
    },
    async rename(id, displayName) {
      const em = orm.em.fork()
      await em.nativeUpdate(User, { id }, { displayName })
      return viewOf(await em.findOne(User, { id }))
    },

    async search(query, limit, after) {
      const pattern = `${query.replace(/[\\%_]/g, '\\$&')}%`
      const rows = await database.snapshot((sql) =>
        sql.query<FoundRow>(searchUsers, [pattern.toLowerCase(), pattern, after ?? '', limit + 1]),
      )
      const users = rows
        .slice(0, limit)
        .map((row) => ({ id: row.id, username: row.username, displayName: row.display_name }))
      const last = users.at(-1)
      return rows.length > limit && last ? { users, next: last.username } : { users }
    },

    async missing(ids) {
      const rows = await orm.em.fork().find(User, { id: { $in: [...ids] } }, { fields: ['id'] })
      const known = new Set(rows.map((row) => row.id))
      return ids.filter((id) => !known.has(id))
    },
  }
}

export function usernameTaken(username: string): Failure {
  return failure('conflict', `the username ${username} is taken`)
}

function viewOf(row: UserRow | null): UserView | undefined {
  if (row === null) return undefined
  return { id: row.id, username: row.username, displayName: row.displayName }
}
