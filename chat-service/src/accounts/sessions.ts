import { LockMode } from '@mikro-orm/core'
import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import { type Failure, failure } from '@parley/proto/errors'
import { channels, encodeUserNotice } from '@parley/proto/fan-out'
import { newId } from '@parley/proto/ids'
import { Credential, Session, type SessionRow } from './entities.ts'
import { createLiveSessions } from './live-sessions.ts'
import { decideRefresh, makeRefreshToken, readRefreshToken } from './refresh-tokens.ts'

export interface SessionsOptions {
  database: Database
  bus: Bus
  /** HMAC key of refresh tokens. */
  refreshKey: Buffer
  /** How long a session lasts after its refresh token was last used. */
  lifeMs: number
  now: () => number
}

/** A session just begun or renewed. */
export interface OpenedSession {
  ok: true
  id: string
  user: string
  refreshToken: string
}

/** One's device, as `GET /v1/sessions` shows it; times in milliseconds since 1970. */
export interface SessionView {
  id: string
  device?: string
  createdAt: number
  usedAt: number
  expiresAt: number
  current: boolean
}

export interface Sessions {
  /**
   * Begins a session while `passwordHash` is still the user's; undefined when it was changed since it was read. Beyond
   * `maxSessions` of one user the least recently used ends.
   */
  begin(
    user: string,
    passwordHash: string,
    device: string | undefined,
  ): Promise<OpenedSession | undefined>
  /** `unauthenticated` for a token that holds no longer; a token used before ends its session as well. */
  renew(refreshToken: string): Promise<OpenedSession | Failure>
  /** Ends one session of a user; `not_found` when it is not the user's, or ended before. */
  end(user: string, session: string): Promise<{ ok: true } | Failure>
  /** Tells everyone that these sessions, which the caller has ended in the database, hold no longer. */
  tellEnded(user: string, sessions: readonly string[]): void
  /** A user's sessions that hold, the last used first. */
  list(user: string, current: string): Promise<SessionView[]>
  isLive(user: string, session: string): Promise<boolean>
  /** Those of `ids` that hold no longer. Rejects with `DatabaseUnavailable`. */
  ended(ids: readonly string[]): Promise<string[]>
  close(): void
}

/** Live sessions of one user; also what `GET /v1/sessions` answers at most. */
export const maxSessions = 500
/** Ended sessions are kept this long, for who looks after them. */
const keepEndedMs = 24 * 60 * 60_000

export function createSessions(options: SessionsOptions): Sessions {
  const { database, bus, refreshKey, lifeMs, now } = options
  const { orm } = database
  const live = createLiveSessions({
    bus,
    now,
    check: async (id) => (await ended([id])).length === 0,
  })

  const opened = (s: { id: string; userId: string; refreshNumber: number }): OpenedSession => ({
    ok: true,
    id: s.id,
    user: s.userId,
    refreshToken: makeRefreshToken(refreshKey, { session: s.id, number: s.refreshNumber }),
  })

  /* [G11] At once where the bus carries it; gateways ask for ended sessions every few seconds all the same. */
  function tellEnded(user: string, ids: readonly string[]): void {
    if (ids.length > 0) live.forget(user)
    for (const session of ids) {
      const notice = encodeUserNotice({ type: 'revoked', session })
      bus.publish(channels.user(user), notice).catch(() => {})
    }
  }

  async function ended(ids: readonly string[]): Promise<string[]> {
    const rows = await database.snapshot((sql) =>
      sql.query<{ id: string }>(
        'select id from sessions where id = any($1::uuid[]) and revoked_at is null and expires_at > $2',
        [ids, new Date(now())],
        'sessions-holding',
      ),
    )
    const holding = new Set(rows.map((row) => row.id))
    return ids.filter((id) => !holding.has(id))
  }

  async function endSurplus(user: string): Promise<void> {
    const at = new Date(now())
    const ancient = new Date(now() - keepEndedMs)
    const em = orm.em.fork()
    const gone = { $or: [{ revokedAt: { $lt: ancient } }, { expiresAt: { $lt: ancient } }] }
    await em.nativeDelete(Session, { userId: user, ...gone })
    const surplus = await em.find(
      Session,
      { userId: user, revokedAt: null, expiresAt: { $gt: at } },
      { orderBy: { usedAt: 'desc', id: 'desc' }, offset: maxSessions, limit: maxSessions },
    )
    for (const session of surplus) session.revokedAt = at
    await em.flush()
    tellEnded(
      user,
      surplus.map((session) => session.id),
    )
  }

  return {
    async begin(user, passwordHash, device) {
      const at = new Date(now())
      const session = {
        id: newId(now()),
        userId: user,
        device: device ?? null,
        createdAt: at,
        usedAt: at,
        expiresAt: new Date(now() + lifeMs),
        refreshNumber: 0,
        rotatedAt: at,
        revokedAt: null,
      }
      const begun = await orm.em.fork().transactional(async (em) => {
        /* A change of the password waits for this lock, so it sees this session, or this login sees the change. */
        const holding = await em.findOne(
          Credential,
          { userId: user, passwordHash },
          { lockMode: LockMode.PESSIMISTIC_READ },
        )
        if (holding === null) return false
        await em.insert(Session, session)
        return true
      })
      if (!begun) return undefined
      await endSurplus(user)
      return opened(session)
    },

    async renew(refreshToken) {
      const claim = readRefreshToken(refreshKey, refreshToken)
      if (claim === undefined) return notAToken
      /* The lock makes two instances that get the same token answer one after the other, with one successor. */
      const result = await orm.em.fork().transactional(async (em) => {
        const session = await em.findOne(Session, claim.session, {
          lockMode: LockMode.PESSIMISTIC_WRITE,
        })
        if (session === null) return undefined
        return { session, decision: renewRow(session, claim.number, { nowMs: now(), lifeMs }) }
      })
      if (result === undefined) return notAToken
      const { session, decision } = result
      if (decision === 'reused') tellEnded(session.userId, [session.id])
      return decision === 'rotate' || decision === 'repeat' ? opened(session) : notAToken
    },

    async end(user, session) {
      const changed = await orm.em
        .fork()
        .nativeUpdate(
          Session,
          { id: session, userId: user, revokedAt: null, expiresAt: { $gt: new Date(now()) } },
          { revokedAt: new Date(now()) },
        )
      if (changed === 0) return failure('not_found', 'no such session')
      tellEnded(user, [session])
      return { ok: true }
    },

    async list(user, current) {
      const rows = await orm.em
        .fork()
        .find(
          Session,
          { userId: user, revokedAt: null, expiresAt: { $gt: new Date(now()) } },
          { orderBy: { usedAt: 'desc', id: 'desc' }, limit: maxSessions },
        )
      return rows.map((row) => viewOf(row, current))
    },

    tellEnded,
    isLive: live.isLive,
    ended,
    close: live.close,
  }
}

const notAToken = failure('unauthenticated', 'the refresh token is not valid, log in again')

/** Changes the row as the decision asks; whoever holds its lock calls this. */
function renewRow(
  row: SessionRow,
  presented: number,
  { nowMs, lifeMs }: { nowMs: number; lifeMs: number },
) {
  const live = row.revokedAt === null && row.expiresAt.getTime() > nowMs
  const ageMs = nowMs - row.rotatedAt.getTime()
  const decision = decideRefresh({ live, number: row.refreshNumber, ageMs }, presented)
  const at = new Date(nowMs)
  if (decision === 'rotate') {
    row.refreshNumber += 1
    row.rotatedAt = at
  }
  if (decision === 'rotate' || decision === 'repeat') {
    row.usedAt = at
    row.expiresAt = new Date(nowMs + lifeMs)
  }
  if (decision === 'reused') row.revokedAt = at
  return decision
}

function viewOf(row: SessionRow, current: string): SessionView {
  const view: SessionView = {
    id: row.id,
    createdAt: row.createdAt.getTime(),
    usedAt: row.usedAt.getTime(),
    expiresAt: row.expiresAt.getTime(),
    current: row.id === current,
  }
  if (typeof row.device === 'string') view.device = row.device
  return view
}
