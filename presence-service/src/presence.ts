import type { UserLeases } from '@parley/platform/ports/presence-store'
import { presenceTimes, type UserPresence } from '@parley/proto/session-records'

/** [P2] What a user's leases mean at `nowMs`, by the clock that `activeAt` goes by (milliseconds since 1970). */
export function presenceOf(id: string, leases: UserLeases, nowMs: number): UserPresence {
  const { activeAt, lastSeen } = leases
  if (activeAt !== undefined) {
    return { id, state: nowMs < awayAtMs(activeAt) ? 'online' : 'away' }
  }
  return lastSeen === undefined ? { id, state: 'offline' } : { id, state: 'offline', lastSeen }
}

/** When someone who was last active then counts as away, unless something is heard: milliseconds since 1970. */
export function awayAtMs(activeAt: number): number {
  return activeAt + presenceTimes.awayMs
}

export function samePresence(a: UserPresence | undefined, b: UserPresence): boolean {
  return a !== undefined && a.id === b.id && a.state === b.state && a.lastSeen === b.lastSeen
}
