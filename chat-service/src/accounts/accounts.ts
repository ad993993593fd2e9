import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import { named } from '@parley/platform/postgres/unavailable'
import { type Failure, failure } from '@parley/proto/errors'
import { accessTokenToleranceSeconds } from '@parley/proto/tokens'
import { type AccessTokens, createAccessTokens, type VerifiedToken } from './access-tokens.ts'
import { deriveKeys } from './key-secret.ts'
import { checkName, checkUsername, maxPasswordUnits } from './name-rules.ts'
import { createPasswordHasher, type PasswordHasherOptions } from './password-hasher.ts'
import { createPasswords, type PasswordChange } from './passwords.ts'
import { createRegistration, type RegisterInput, type RegistrationMode } from './registration.ts'
import { createSessions, type OpenedSession, type SessionView } from './sessions.ts'
import { openSigningKeys, type SigningKeys } from './signing-keys.ts'
import { createUsers, type UserPage, type Users, type UserView } from './users.ts'

export interface AccountsConfig {
  registration: RegistrationMode
  accessTokenSeconds: number
  refreshTokenDays: number
  /** Signing keys are sealed and refresh tokens made under it (`PARLEY_KEY_SECRET`). */
  keySecret: string
  /** How long a signing key signs. */
  keyRotationDays: number
  /** Bounds of argon2id; by default 2 at work and 64 waiting. */
  passwordHashing?: PasswordHasherOptions
}

export interface AccountsParts {
  /** Connected with `accountEntities`. */
  database: Database
  bus: Bus
  /** Milliseconds since 1970; the process's clock when absent. */
  now?: () => number
  /** Keys could not be read or rotated just now; it is tried again within a minute. */
  onKeyRefreshFailed?: (error: unknown) => void
}

/** What register, login and refresh answer. */
export interface SignedIn {
  ok: true
  user: UserView
  accessToken: string
  refreshToken: string
  /** Seconds. */
  expiresIn: number
}

export interface Accounts {
  readonly users: Users
  /** `forbidden` where registration is closed, or by invitation and `invite` does not hold. */
  register(input: RegisterInput, device?: string): Promise<SignedIn | Failure>
  /** `unauthenticated` alike, and after the same time, for an unknown name and a wrong password. */
  login(input: { username: string; password: string }, device?: string): Promise<SignedIn | Failure>
  refresh(refreshToken: string): Promise<SignedIn | Failure>
  /** A user's sessions that hold; `current` is the one who asks. */
  listSessions(user: string, current: string): Promise<SessionView[]>
  /** Ends a session of this user; its sockets close. */
  endSession(user: string, session: string): Promise<{ ok: true } | Failure>
  renameUser(user: string, displayName: string): Promise<{ ok: true; user: UserView } | Failure>
  /**
   * Ends every other session of the user. `forbidden` when `currentPassword` is wrong, `invalid` when the new one
   * breaks the rules.
   */
  changePassword(
    claim: { user: string; session: string },
    change: PasswordChange,
  ): Promise<{ ok: true } | Failure>
  searchUsers(query: string, limit: number, after?: string): Promise<UserPage>
  /**
   * The token's user and session, [G11] if that session still holds (known at most 3 s old). `token_expired` past its
   * time, else `unauthenticated`. Rejects with `DatabaseUnavailable`.
   */
  verifyAccessToken(token: string): Promise<VerifiedToken | Failure>
  /** Those of `ids` that are revoked, expired or unknown. Rejects with `DatabaseUnavailable`. */
  checkSessions(ids: readonly string[]): Promise<string[]>
  /** The JWK Set, in JSON. */
  jwks(): Promise<string>
  /** Makes the next signing key now, to sign after `aheadMs` (by default an hour). */
  rotateKeys(aheadMs?: number): Promise<void>
  close(): Promise<void>
}

const dayMs = 24 * 60 * 60_000
/** Verifiers fetch the JWKS at least this often. */
const publishAheadMs = 60 * 60_000
const refreshKeysMs = 60_000
const defaultHashing: PasswordHasherOptions = { concurrent: 2, waiting: 64 }

/** Rejects with `StartError` when the key secret is not the one under which the database's keys were sealed. */
export async function createAccounts(
  config: AccountsConfig,
  parts: AccountsParts,
): Promise<Accounts> {
  const { database, bus, now = Date.now } = parts
  const { orm } = database
  const derived = deriveKeys(config.keySecret)
  const keys = await openSigningKeys({
    orm,
    sealKey: derived.signingKeys,
    rule: {
      rotationMs: config.keyRotationDays * dayMs,
      publishAheadMs,
      /* An instance may sign with what it read up to `refreshKeysMs` ago. */
      keepMs: (config.accessTokenSeconds + accessTokenToleranceSeconds) * 1000 + 5 * refreshKeysMs,
    },
    now,
  })
  const tokens = createAccessTokens({ keys, lifeSeconds: config.accessTokenSeconds, now })
  const sessions = createSessions({
    database,
    bus,
    refreshKey: derived.refreshTokens,
    lifeMs: config.refreshTokenDays * dayMs,
    now,
  })
  const hasher = createPasswordHasher(config.passwordHashing ?? defaultHashing)
  const users = createUsers(database, now)
  const registration = createRegistration({
    mode: config.registration,
    database,
    users,
    hasher,
    now,
  })
  const passwords = createPasswords({
    database,
    hasher,
    sessions,
    passwordHash: users.passwordHash,
    now,
  })
  const stopRefreshing = refreshRegularly(keys, parts.onKeyRefreshFailed ?? (() => {}))

  async function signIn(user: UserView, session: OpenedSession): Promise<SignedIn> {
    const accessToken = await tokens.issue({ user: user.id, session: session.id })
    const { refreshToken } = session
    return { ok: true, user, accessToken, refreshToken, expiresIn: config.accessTokenSeconds }
  }

  async function beginSession(user: UserView, passwordHash: string, device: string | undefined) {
    const session = await sessions.begin(user.id, passwordHash, device)
    return session === undefined ? wrongLogin : signIn(user, session)
  }

  return {
    users,
    async register(input, device) {
      const made = await registration.register(input)
      return made.ok ? beginSession(made.user, made.passwordHash, device) : made
    },

    async login({ username, password }, device) {
      const fits = checkUsername(username) === undefined && password.length <= maxPasswordUnits
      const user = fits ? await users.byUsername(username) : undefined
      /* Asked for nobody's as well: the time must not tell whether the name is known. */
      const stored = fits ? await users.passwordHash(user?.id ?? nobody) : undefined
      const verified = await hasher.verify(stored, fits ? password : '')
      if (!verified.ok) return verified
      if (!verified.match || user === undefined || stored === undefined) return wrongLogin
      return beginSession(user, stored, device)
    },

    async refresh(refreshToken) {
      const session = await sessions.renew(refreshToken)
      if (!session.ok) return session
      const user = await users.byId(session.user)
      return user === undefined ? wrongLogin : signIn(user, session)
    },

    listSessions: sessions.list,
    endSession: sessions.end,

    async renameUser(id, displayName) {
      const refused = checkName('displayName', displayName)
      if (refused) return refused
      const user = await users.rename(id, displayName)
      return user === undefined ? failure('not_found', 'no such user') : { ok: true, user }
    },
    changePassword: ({ user, session }, change) => passwords.change(user, session, change),
    searchUsers: users.search,

    verifyAccessToken: (token) => verify(tokens, sessions.isLive, token).catch(rethrowNamed),
    checkSessions: sessions.ended,
    jwks: async () => keys.jwks(),
    rotateKeys: (aheadMs = publishAheadMs) => keys.rotate(aheadMs),
    async close() {
      sessions.close()
      await stopRefreshing()
    },
  }
}

const nobody = '00000000-0000-0000-0000-000000000000'
const wrongLogin = failure('unauthenticated', 'the username or the password is wrong')

async function verify(
  tokens: AccessTokens,
  isLive: (user: string, session: string) => Promise<boolean>,
  token: string,
): Promise<VerifiedToken | Failure> {
  const claim = await tokens.verify(token)
  if (!claim.ok || (await isLive(claim.user, claim.session))) return claim
  return failure('unauthenticated', 'the session has ended')
}

/** MikroORM wraps what says that the database is away; who calls from outside HTTP gets `DatabaseUnavailable`. */
function rethrowNamed(error: unknown): never {
  throw named(error)
}

/** Stops with a function that resolves when no refresh is at work. */
function refreshRegularly(keys: SigningKeys, onFailed: (error: unknown) => void) {
  let running: Promise<void> = Promise.resolve()
  const timer = setInterval(() => {
    running = running.then(() => keys.refresh()).catch(onFailed)
  }, refreshKeysMs).unref()
  return async () => {
    clearInterval(timer)
    await running
  }
}
