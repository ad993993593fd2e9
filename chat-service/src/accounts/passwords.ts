import type { Database } from '@parley/platform/ports/database'
import { type Failure, failure } from '@parley/proto/errors'
import { checkPassword, maxPasswordUnits } from './name-rules.ts'
import type { PasswordHasher } from './password-hasher.ts'
import type { Sessions } from './sessions.ts'

export interface PasswordChange {
  currentPassword: string
  password: string
}

export interface PasswordsParts {
  database: Database
  hasher: PasswordHasher
  sessions: Pick<Sessions, 'tellEnded'>
  passwordHash(user: string): Promise<string | undefined>
  now: () => number
}

export interface Passwords {
  /**
   * [G11] Changes a user's password and ends every session of the user but `kept`. `forbidden` when `currentPassword`
   * is not the present one, `invalid` when the new one breaks the rules, `overloaded` at the hasher's bound.
   */
  change(user: string, kept: string, change: PasswordChange): Promise<{ ok: true } | Failure>
}

export function createPasswords(parts: PasswordsParts): Passwords {
  const { database, hasher, sessions, passwordHash, now } = parts

  /** The ended sessions; undefined, and nothing changed, when the hash is no longer `present`. */
  function replace(user: string, kept: string, hashes: { present: string; next: string }) {
    const at = new Date(now())
    return database.transaction(async (sql) => {
      /* A login holds this row while it begins its session: it is either ended below, or sees the new password. */
      const changed = await sql.query(
        `update credentials set password_hash = $3, changed_at = $4
         where user_id = $1 and password_hash = $2 returning user_id`,
        [user, hashes.present, hashes.next, at],
      )
      if (changed.length === 0) return undefined
      const ended = await sql.query<{ id: string }>(
        `update sessions set revoked_at = $3
         where user_id = $1 and id <> $2 and revoked_at is null and expires_at > $3 returning id`,
        [user, kept, at],
      )
      return ended.map(({ id }) => id)
    })
  }

  return {
    async change(user, kept, { currentPassword, password }) {
      const refused = checkPassword(password)
      if (refused) return refused
      const fits = currentPassword.length <= maxPasswordUnits
      const present = await passwordHash(user)
      const verified = await hasher.verify(present, fits ? currentPassword : '')
      if (!verified.ok) return verified
      if (!verified.match || present === undefined) return wrongPassword
      const hashed = await hasher.hash(password)
      if (!hashed.ok) return hashed
      const ended = await replace(user, kept, { present, next: hashed.hash })
      /* Two changes at once: the later one's `currentPassword` is the present one no more. */
      if (ended === undefined) return wrongPassword
      sessions.tellEnded(user, ended)
      return { ok: true }
    },
  }
}

const wrongPassword = failure('forbidden', 'currentPassword is not the present password')
