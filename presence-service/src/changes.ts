import type { PresenceState } from '@parley/proto/frames'
import type { UserPresence } from '@parley/proto/session-records'
import { createDueList } from './due-list.ts'
import { samePresence } from './presence.ts'

export interface ChangesBounds {
  /** Changes of one user are told at most so often. */
  changeMs: number
  /** Users waiting to be looked at. */
  maxDue: number
  /** Users of whom it is remembered what was told. */
  maxTold: number
}

/**
 * Who of one shard has to be looked at when, and what was last told of whom. A user is looked at (its leases are read and
 * its presence made of them) some time after each change, and told of when its presence differs from what was told. So
 * whatever happens in between, the last change is never lost. Pure: times are of a clock that only goes forward.
 */
export interface Changes {
  /** How many more users can be taken in. */
  readonly room: number
  /** Users that wait to be looked at or told of. */
  readonly waiting: number
  /** The user's leases changed: it is due at once, or as soon as it may be told of again. Only while there is room. */
  changed(user: string, nowMs: number): void
  /** Something will change by itself at `atMs`. Left out where there is no room. */
  expect(user: string, atMs: number): void
  /** Takes up to `limit` users to look at now. Each must come back through `weigh` or `unread`. */
  due(nowMs: number, limit: number): string[]
  /** Could not be read: due again at `nowMs`. */
  unread(user: string, nowMs: number): void
  /** True when this must be told now; then `told` or `untold` follows. */
  weigh(presence: UserPresence, nowMs: number): boolean
  told(user: string): void
  /** Whether it was heard is not known: it is looked at again once it may be told of again. */
  untold(user: string): void
  /** The state last told; undefined where none was, or it is forgotten or in doubt. */
  stateOf(user: string): PresenceState | undefined
  /** When someone is due; Infinity when nobody is. */
  soonestMs(): number
}

/** How much later than it may be told of a user may become due. */
export const stepMs = 20

export function createChanges({ changeMs, maxDue, maxTold }: ChangesBounds): Changes {
  const waiting = createDueList(stepMs)
  const looking = new Set<string>()
  /** Who was told of longest ago comes first. */
  const told = new Map<string, { presence: UserPresence | undefined; atMs: number }>()

  function mayTellAt(user: string): number {
    const last = told.get(user)
    return last === undefined ? Number.NEGATIVE_INFINITY : last.atMs + changeMs
  }

  /** When one more user can be remembered: forgetting one told of a moment ago would undo its limit. */
  function forgetAt(user: string): number {
    if (told.has(user) || told.size < maxTold) return Number.NEGATIVE_INFINITY
    const [oldest] = told.keys()
    return mayTellAt(oldest as string)
  }

  function forgetOldest(): void {
    const [oldest] = told.keys()
    told.delete(oldest as string)
  }

  return {
    get room() {
      return Math.max(0, maxDue - waiting.size - looking.size)
    },
    get waiting() {
      return waiting.size + looking.size
    },
    changed(user, nowMs) {
      waiting.add(user, Math.max(nowMs, mayTellAt(user)))
    },
    expect(user, atMs) {
      if (waiting.size + looking.size >= maxDue) return
      waiting.add(user, Math.max(atMs, mayTellAt(user)))
    },
    due(nowMs, limit) {
      const users = waiting.take(nowMs, limit)
      for (const user of users) looking.add(user)
      return users
    },
    unread(user, nowMs) {
      looking.delete(user)
      waiting.add(user, nowMs)
    },
    weigh(presence, nowMs) {
      const user = presence.id
      if (samePresence(told.get(user)?.presence, presence)) {
        looking.delete(user)
        return false
      }
      const earliestMs = Math.max(mayTellAt(user), forgetAt(user))
      if (earliestMs > nowMs) {
        looking.delete(user)
        waiting.add(user, earliestMs)
        return false
      }
      if (!told.delete(user) && told.size >= maxTold) forgetOldest()
      told.set(user, { presence, atMs: nowMs })
      return true
    },
    told(user) {
      looking.delete(user)
    },
    untold(user) {
      looking.delete(user)
      const last = told.get(user)
      if (last === undefined) throw new Error(`${user} was not to be told of`)
      last.presence = undefined
      waiting.add(user, last.atMs + changeMs)
    },
    stateOf: (user) => told.get(user)?.presence?.state,
    soonestMs: () => waiting.soonestMs(),
  }
}
