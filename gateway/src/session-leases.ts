import { presenceTimes, type SessionNotice } from '@parley/proto/session-records'

/** What is said of one connection, and when it is due to be said again. */
interface Lease {
  readonly user: string
  readonly connection: string
  activeAt: number
  saidActiveAt: number
  saidAt: number
  renewAt: number
}

/** Renewals are looked for this much before they are due, so that the sweep's own interval does not make them late. */
const aheadMs = 1_000
/**
 * Who was last said to be active longer ago than this is told at once when it is active again: in time before it would
 * count as away.
 */
const quietMs = presenceTimes.awayMs - 2 * presenceTimes.renewMs

/** Which connections must be told to presence, and when. Pure; times are milliseconds since 1970. */
export class SessionLeases {
  readonly #byConnection = new Map<string, Lease>()
  readonly #random: () => number

  /** `random` gives 0 to 1 and spreads renewals of those who came together. */
  constructor(random: () => number = Math.random) {
    this.#random = random
  }

  get size(): number {
    return this.#byConnection.size
  }

  opened(connection: string, user: string, now: number): SessionNotice {
    const lease: Lease = {
      user,
      connection,
      activeAt: now,
      saidActiveAt: now,
      saidAt: 0,
      renewAt: 0,
    }
    this.#byConnection.set(connection, lease)
    const said = say(lease, 'open', now)
    lease.renewAt = now + (presenceTimes.renewMs - aheadMs) * (0.5 + this.#random() / 2)
    return said
  }

  /** It has sent something. Null when that can wait for the renewal. */
  active(connection: string, now: number): SessionNotice | null {
    const lease = this.#byConnection.get(connection)
    if (lease === undefined) return null
    lease.activeAt = now
    return now - lease.saidActiveAt >= quietMs ? say(lease, 'open', now) : null
  }

  closed(connection: string, now: number): SessionNotice | null {
    const lease = this.#byConnection.get(connection)
    if (lease === undefined) return null
    this.#byConnection.delete(connection)
    return say(lease, 'closed', now)
  }

  /** Its link was lost: nothing is said, and its lease runs out unless it comes again. */
  lost(connection: string): void {
    this.#byConnection.delete(connection)
  }

  /** Those to be said again. */
  due(now: number): SessionNotice[] {
    const notices: SessionNotice[] = []
    for (const lease of this.#byConnection.values()) {
      if (lease.renewAt <= now) notices.push(say(lease, 'open', now))
    }
    return notices
  }
}

/** Of one connection a later notice has a greater `at`, so that each can tell which was first. */
function say(lease: Lease, state: SessionNotice['state'], now: number): SessionNotice {
  const at = Math.max(now, lease.saidAt + 1)
  lease.saidAt = at
  lease.saidActiveAt = lease.activeAt
  lease.renewAt = now + presenceTimes.renewMs - aheadMs
  const { user, connection, activeAt } = lease
  return { user, connection, state, activeAt, at }
}
