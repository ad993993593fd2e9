import type { Database } from '@parley/platform/ports/database'
import { type Failure, failure } from '@parley/proto/errors'
import { checkInvite } from './invites.ts'
import { checkName, checkPassword, checkUsername } from './name-rules.ts'
import type { PasswordHasher } from './password-hasher.ts'
import { type Users, type UserView, usernameTaken } from './users.ts'

/** Who may register: anyone, who has an invitation, nobody. */
export type RegistrationMode = 'open' | 'invite' | 'closed'

export interface RegisterInput {
  username: string
  password: string
  displayName?: string
  /** Asked for in mode `invite`, ignored otherwise. */
  invite?: string
}

export interface RegistrationParts {
  mode: RegistrationMode
  database: Database
  users: Users
  hasher: PasswordHasher
  now: () => number
}

export interface Registration {
  /** The invitation is redeemed with the user's row or not at all. */
  register(
    input: RegisterInput,
  ): Promise<{ ok: true; user: UserView; passwordHash: string } | Failure>
}

export function createRegistration(parts: RegistrationParts): Registration {
  const { mode, database, users, hasher, now } = parts
  return {
    async register(input) {
      if (mode === 'closed') return failure('forbidden', 'registration is closed')
      const invite = mode === 'invite' ? (input.invite ?? '') : undefined
      if (invite === '') return failure('forbidden', 'registration needs an invitation')
      const refused = checkNewUser(input)
      if (refused) return refused
      /* Who has no invitation learns no names, and costs no hash. */
      const notInvited =
        invite === undefined
          ? undefined
          : await database.snapshot((sql) => checkInvite(sql, invite, now()))
      if (notInvited) return notInvited
      const { username, password, displayName = username } = input
      if ((await users.byUsername(username)) !== undefined) return usernameTaken(username)
      const hashed = await hasher.hash(password)
      if (!hashed.ok) return hashed
      const passwordHash = hashed.hash
      const created = await users.create({ username, displayName, passwordHash }, invite)
      return created.ok ? { ...created, passwordHash } : created
    },
  }
}

function checkNewUser(input: RegisterInput): Failure | undefined {
  return (
    checkUsername(input.username) ??
    checkPassword(input.password) ??
    (input.displayName === undefined ? undefined : checkName('displayName', input.displayName))
  )
}
