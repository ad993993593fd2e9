import { typingTimes } from './typing-sources.ts'

/** A change of who types, for those connections that `to` names. */
export interface TypingChange {
  conversation: string
  user: string
  active: boolean
  to(connection: string): boolean
}

/** By user, the connections it types on and until when that holds without a repetition. */
type Typists = Map<string, Map<string, number>>

export interface TypingBounds {
  /** Connections typing in one conversation that are shown at a time; others are not ([G8]). */
  typists: number
  /** How long a removed user's typing is not shown, as it may come late ([G6]). */
  removedMs: number
}

const defaultBounds: TypingBounds = { typists: 32, removedMs: 10_000 }

/**
 * Who types in the conversations that are read here. A connection is shown a user who types on any other connection
 * than this one, and not any more when there is none. Pure; times are milliseconds of one clock.
 */
export class TypingViews {
  readonly #typists = new Map<string, Typists>()
  /** By conversation and user, when a removal was seen. */
  readonly #removed = new Map<string, Map<string, number>>()
  readonly #bounds: TypingBounds

  constructor(bounds: Partial<TypingBounds> = {}) {
    this.#bounds = { ...defaultBounds, ...bounds }
  }

  heard(
    said: { conversation: string; user: string; active: boolean; origin: string },
    now: number,
  ): TypingChange | null {
    const { conversation, user, origin } = said
    if (!said.active) return this.#end(conversation, user, origin)
    if (this.#removed.get(conversation)?.has(user)) return null
    const typists = this.#typists.get(conversation) ?? new Map<string, Map<string, number>>()
    const origins = typists.get(user) ?? new Map<string, number>()
    if (!origins.has(origin) && count(typists) >= this.#bounds.typists) return null
    origins.set(origin, now + typingTimes.unheardMs)
    typists.set(user, origins)
    this.#typists.set(conversation, typists)
    return { conversation, user, active: true, to: (id) => id !== origin }
  }

  /** The user has sent a message, on whichever connection. */
  spoke(conversation: string, user: string): TypingChange | null {
    const typists = this.#typists.get(conversation)
    const origins = typists?.get(user)
    if (typists === undefined || origins === undefined) return null
    this.#drop(conversation, typists, user)
    return { conversation, user, active: false, to: (id) => isSeen(origins, id) }
  }

  removed(conversation: string, user: string, now: number): TypingChange | null {
    const removed = this.#removed.get(conversation) ?? new Map<string, number>()
    removed.set(user, now)
    this.#removed.set(conversation, removed)
    return this.spoke(conversation, user)
  }

  /** Whether anyone is shown as typing there. */
  has(conversation: string): boolean {
    return this.#typists.has(conversation)
  }

  /** Nobody reads it here any more. */
  forget(conversation: string): void {
    this.#typists.delete(conversation)
    this.#removed.delete(conversation)
  }

  expire(now: number): TypingChange[] {
    const changes: TypingChange[] = []
    for (const [conversation, typists] of this.#typists) {
      for (const [user, origins] of typists) {
        for (const [origin, until] of origins) {
          const change = until <= now ? this.#end(conversation, user, origin) : null
          if (change !== null) changes.push(change)
        }
      }
    }
    for (const [conversation, removed] of this.#removed) {
      for (const [user, at] of removed) {
        if (now - at >= this.#bounds.removedMs) removed.delete(user)
      }
      if (removed.size === 0) this.#removed.delete(conversation)
    }
    return changes
  }

  #end(conversation: string, user: string, origin: string): TypingChange | null {
    const typists = this.#typists.get(conversation)
    const origins = typists?.get(user)
    if (typists === undefined || !origins?.delete(origin)) return null
    if (origins.size === 0) this.#drop(conversation, typists, user)
    const left = new Map(origins)
    return {
      conversation,
      user,
      active: false,
      to: (id) => id !== origin && !isSeen(left, id),
    }
  }

  #drop(conversation: string, typists: Typists, user: string): void {
    typists.delete(user)
    if (typists.size === 0) this.#typists.delete(conversation)
  }
}

/** Whether the user is shown to a connection that types on these itself, or not. */
function isSeen(origins: ReadonlyMap<string, number>, connection: string): boolean {
  return origins.size > (origins.has(connection) ? 1 : 0)
}

function count(typists: Typists): number {
  let origins = 0
  for (const of of typists.values()) origins += of.size
  return origins
}
