import type { Bus } from '@parley/platform/ports/bus'
import { channels, decodeUserNotice } from '@parley/proto/fan-out'

export interface LiveSessionsOptions {
  bus: Bus
  now: () => number
  /** Whether a session holds now, from the database. */
  check: (session: string) => Promise<boolean>
}

/**
 * Which sessions hold, remembered for `freshMs`: [G11] a revoked one is refused at once where the bus carries the
 * notice, and within 3 s where it does not.
 */
export interface LiveSessions {
  /** Rejects when the database is asked and away. */
  isLive(user: string, session: string): Promise<boolean>
  /** Forgets what is known of a user's sessions. */
  forget(user: string): void
  close(): void
}

const freshMs = 3_000
/** A user not asked about for this long is forgotten, with the subscription to its channel. */
const idleMs = 30_000
const maxUsers = 10_000
const sweepMs = 10_000

interface KnownUser {
  usedAt: number
  /** When each answer was asked for, and the answer. */
  sessions: Map<string, { askedAt: number; live: Promise<boolean> }>
  unsubscribe: () => void
}

export function createLiveSessions({ bus, now, check }: LiveSessionsOptions): LiveSessions {
  const users = new Map<string, KnownUser>()
  const sweep = setInterval(() => {
    for (const [user, known] of users) if (known.usedAt + idleMs < now()) drop(user, known)
  }, sweepMs).unref()

  function drop(user: string, known: KnownUser): void {
    users.delete(user)
    known.unsubscribe()
  }

  function knownUser(user: string): KnownUser {
    const known = users.get(user) ?? listenTo(user)
    known.usedAt = now()
    /* The least recently used stands first. */
    users.delete(user)
    users.set(user, known)
    for (const [other, least] of users) {
      if (users.size <= maxUsers) break
      drop(other, least)
    }
    return known
  }

  function listenTo(user: string): KnownUser {
    const channel = channels.user(user)
    const known: KnownUser = { usedAt: 0, sessions: new Map(), unsubscribe }
    const handler = (payload: Uint8Array) => {
      if (decodeUserNotice(payload).type === 'revoked') known.sessions.clear()
    }
    /* Without the bus what is known simply gets old. */
    const subscribed = bus.subscribe(channel, handler).catch(() => {})
    function unsubscribe(): void {
      void subscribed.then(() => bus.unsubscribe(channel, handler)).catch(() => {})
    }
    return known
  }

  return {
    isLive(user, session) {
      const { sessions } = knownUser(user)
      const remembered = sessions.get(session)
      if (remembered !== undefined && remembered.askedAt + freshMs > now()) return remembered.live
      for (const [id, { askedAt }] of sessions) {
        if (askedAt + freshMs <= now()) sessions.delete(id)
      }
      const live = check(session)
      const entry = { askedAt: now(), live }
      sessions.set(session, entry)
      live.catch(() => {
        if (sessions.get(session) === entry) sessions.delete(session)
      })
      return live
    },
    forget(user) {
      users.get(user)?.sessions.clear()
    },
    close() {
      clearInterval(sweep)
      for (const [user, known] of users) drop(user, known)
    },
  }
}
