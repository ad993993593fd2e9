import { UniqueConstraintViolationException } from '@mikro-orm/core'
import type { MikroORM } from '@mikro-orm/postgresql'
import { type Failure, failure } from '@parley/proto/errors'
import { newId } from '@parley/proto/ids'
import { Credential, User, type UserRow } from './entities.ts'

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
  /** `conflict` when the username is taken. The caller has checked the rules of names. */
  create(user: NewUser): Promise<{ ok: true; user: UserView } | Failure>
  byId(id: string): Promise<UserView | undefined>
  byUsername(username: string): Promise<UserView | undefined>
  passwordHash(id: string): Promise<string | undefined>
  rename(id: string, displayName: string): Promise<UserView | undefined>
  /** Users whose username or display name begins with `query`, whatever its case; by username, after `after`. */
  search(query: string, limit: number, after: string | undefined): Promise<UserPage>
  /** Those of `ids` that are no user. */
  missing(ids: readonly string[]): Promise<string[]>
}

export function createUsers(orm: MikroORM, now: () => number): Users {
  return {
    async create({ username, displayName, passwordHash }) {
      const at = new Date(now())
      const id = newId(now())
      const em = orm.em.fork()
      try {
        await em.transactional(async (tx) => {
          await tx.insert(User, { id, username, displayName, createdAt: at })
          await tx.insert(Credential, { userId: id, passwordHash, changedAt: at })
        })
      } catch (error) {
        if (error instanceof UniqueConstraintViolationException) return usernameTaken(username)
        throw error
      }
      return { ok: true, user: { id, username, displayName } }
    },

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
      const prefix = `${query.replace(/[\\%_]/g, '\\$&')}%`
      const rows = await orm.em.fork().find(
        User,
        {
          $or: [{ username: { $like: prefix.toLowerCase() } }, { displayName: { $ilike: prefix } }],
          ...(after === undefined ? {} : { username: { $gt: after } }),
        },
        { orderBy: { username: 'asc' }, limit: limit + 1 },
      )
      const users = rows.slice(0, limit).map((row) => viewOf(row) as UserView)
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
