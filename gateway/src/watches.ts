import type { UserPresence } from '@parley/proto/session-records'
import { type Subject, Subjects, samePresence } from './subjects.ts'

/** What a connection's `watch` asked for. */
export interface Watch<C> {
  readonly connection: C
  readonly owner: string
  readonly entries: Map<string, Entry<C>>
  /** Entries without a subject. */
  strangers: number
  /** The first `presence`, of all, has been sent. */
  announced: boolean
  /** Users of whom something is to be told. */
  readonly dirty: Set<string>
  /** Heads that the next answer about acquaintances must be no older than, by conversation. */
  readonly known: Map<string, number>
  /** Someone may be none any more: nothing is told before the answer. */
  doubted: boolean
  asking: boolean
  checkAt: number
  checkedAt: number
  failures: number
}

interface Entry<C> {
  /** Null for one with whom no conversation is shared. Undefined: that is not known yet. */
  subject: Subject<Watch<C>> | null | undefined
  told: UserPresence | null
}

export interface WatchesSink<C> {
  listen(user: string): void
  unlisten(user: string): void
  /** All users of a watch, in the order asked. */
  announce(connection: C, users: UserPresence[]): void
  /** Changes. False when the link can't carry them now; they are offered again. */
  update(connection: C, users: UserPresence[]): boolean
}

export const watchTimes = {
  /** Everything is asked anew this often: what was missed shows by then. */
  recheckMs: 300_000,
  /** Someone joined a conversation: who is watched is asked anew, but no more often than this. */
  gainedMs: 5_000,
  lostMs: 200,
  firstRetryMs: 250,
  longestRetryMs: 5_000,
} as const

/**
 * Who watches whom. A user is shown to those who share a conversation with it, and is `offline`, never seen, to others
 * ([P5]). Pure; times are milliseconds of one clock.
 */
export class Watches<C> {
  readonly subjects: Subjects<Watch<C>>
  readonly #sink: WatchesSink<C>
  readonly #byConnection = new Map<C, Watch<C>>()
  readonly #untold = new Set<Watch<C>>()
  /** Whose link was full. */
  readonly #blocked = new Set<Watch<C>>()
  readonly #maxEntries: number
  #entries = 0

  constructor(sink: WatchesSink<C>, maxEntries: number) {
    this.#sink = sink
    this.#maxEntries = maxEntries
    this.subjects = new Subjects({
      listen: (user) => sink.listen(user),
      unlisten: (user) => sink.unlisten(user),
      changed: (subject) => {
        for (const watch of subject.watchers) this.#touch(watch, subject.user)
      },
    })
  }

  get entries(): number {
    return this.#entries
  }

  /** Replaces the set of a connection. False when there is no room for so many. */
  set(connection: C, owner: string, users: readonly string[], now: number): boolean {
    const old = this.#byConnection.get(connection)
    const entries = this.#entries - (old?.entries.size ?? 0) + users.length
    if (users.length > 0 && entries > this.#maxEntries) return false
    const watch: Watch<C> = {
      connection,
      owner,
      entries: new Map(),
      strangers: 0,
      announced: false,
      dirty: new Set(),
      known: new Map(old?.known),
      doubted: old?.doubted ?? false,
      asking: false,
      checkAt: Math.min(old?.checkAt ?? Number.POSITIVE_INFINITY, now + watchTimes.recheckMs),
      checkedAt: old?.checkedAt ?? Number.NEGATIVE_INFINITY,
      failures: 0,
    }
    for (const user of users) {
      // Who was one's acquaintance a moment ago needs no new answer; who was none may have become one.
      const known = old?.entries.get(user)?.subject != null
      const subject = known ? this.subjects.hold(user, watch) : undefined
      watch.entries.set(user, { subject, told: null })
      if (known) continue
      watch.strangers += 1
      watch.checkAt = now
    }
    if (old !== undefined) this.#drop(old)
    this.#byConnection.set(connection, watch)
    this.#entries = entries
    this.#untold.add(watch)
    return true
  }

  forget(connection: C): void {
    const watch = this.#byConnection.get(connection)
    if (watch === undefined) return
    this.#byConnection.delete(connection)
    this.#entries -= watch.entries.size
    this.#drop(watch)
  }

  /** Event `seq` took the connection's user out of a conversation: it may have been the last one shared with someone. */
  lost(connection: C, conversation: string, seq: number, now: number): void {
    const watch = this.#byConnection.get(connection)
    if (watch !== undefined) this.#doubt(watch, conversation, seq, now)
  }

  /** Event `seq` took a user out of a conversation that these connections read. */
  left(user: string, readers: Iterable<C>, { conversation, seq }: Where, now: number): void {
    for (const connection of readers) {
      const watch = this.#byConnection.get(connection)
      const entry = watch?.entries.get(user)
      if (watch === undefined || entry === undefined) continue
      // Of a stranger only an answer on its way, or a later one, might be too old.
      if (entry.subject === null && !watch.asking) raise(watch.known, conversation, seq)
      else this.#doubt(watch, conversation, seq, now)
    }
  }

  /** Event `seq` added the connection's user to a conversation, or (`others`) somebody to one that it reads. */
  gained(connection: C, { conversation, seq }: Where, now: number, others: boolean): void {
    const watch = this.#byConnection.get(connection)
    if (watch === undefined || watch.strangers === 0) return
    raise(watch.known, conversation, seq)
    const apartMs = others ? watchTimes.gainedMs : watchTimes.lostMs
    watch.checkAt = Math.min(watch.checkAt, Math.max(now, watch.checkedAt + apartMs))
  }

  /** Anything may have been missed: all are asked anew, spread over a few seconds. */
  interrupted(now: number): void {
    let i = 0
    for (const watch of this.#byConnection.values()) {
      watch.checkAt = Math.min(watch.checkAt, now + (i++ % 3_000))
    }
    this.subjects.renew(Number.POSITIVE_INFINITY)
  }

  /** Up to `limit` watches whose users' acquaintance must be asked for; `checked` follows. */
  takeChecks(limit: number, now: number): Check<C>[] {
    const checks: Check<C>[] = []
    for (const watch of this.#byConnection.values()) {
      if (checks.length >= limit) break
      if (watch.asking || watch.checkAt > now || watch.entries.size === 0) continue
      watch.asking = true
      checks.push({ watch, known: new Map([...watch.known].slice(0, maxKnown)) })
    }
    return checks
  }

  /** Who of the watched shares a conversation; null: not known now. */
  checked(
    { watch, known }: Check<C>,
    acquaintances: ReadonlySet<string> | null,
    now: number,
  ): void {
    watch.asking = false
    if (this.#byConnection.get(watch.connection) !== watch) return
    if (acquaintances === null) {
      const { firstRetryMs, longestRetryMs } = watchTimes
      watch.checkAt = now + Math.min(longestRetryMs, firstRetryMs * 2 ** watch.failures)
      watch.failures = Math.min(watch.failures + 1, 10)
      return
    }
    watch.failures = 0
    watch.checkedAt = now
    for (const [conversation, head] of known) {
      if (watch.known.get(conversation) === head) watch.known.delete(conversation)
    }
    for (const [user, entry] of watch.entries) {
      this.#settle(watch, user, entry, acquaintances.has(user))
    }
    watch.doubted &&= watch.known.size > 0
    watch.checkAt = now + (watch.known.size > 0 ? watchTimes.lostMs : watchTimes.recheckMs)
    this.#untold.add(watch)
  }

  /** Tells what there is to tell, but for those whose link was full before `retry`. */
  flush(): void {
    for (const watch of this.#untold) {
      this.#untold.delete(watch)
      if (this.#tell(watch)) this.#blocked.delete(watch)
      else this.#blocked.add(watch)
    }
  }

  /** Has the next `flush` try all links again. False when none was full. */
  retry(): boolean {
    for (const watch of this.#blocked) this.#untold.add(watch)
    return this.#blocked.size > 0
  }

  #doubt(watch: Watch<C>, conversation: string, seq: number, now: number): void {
    if (watch.entries.size === 0) return
    raise(watch.known, conversation, seq)
    watch.doubted = true
    watch.checkAt = Math.min(watch.checkAt, Math.max(now, watch.checkedAt + watchTimes.lostMs))
  }

  #settle(watch: Watch<C>, user: string, entry: Entry<C>, inside: boolean): void {
    const { subject } = entry
    if (inside && subject == null) {
      entry.subject = this.subjects.hold(user, watch)
      watch.strangers -= 1
    } else if (!inside && subject !== null) {
      entry.subject = null
      if (subject !== undefined) {
        this.subjects.release(subject, watch)
        watch.strangers += 1
      }
    } else return
    watch.dirty.add(user)
  }

  #touch(watch: Watch<C>, user: string): void {
    watch.dirty.add(user)
    this.#untold.add(watch)
  }

  /** False when the link could not carry it: to be tried again. */
  #tell(watch: Watch<C>): boolean {
    if (watch.doubted) return true
    const users = watch.announced ? watch.dirty : watch.entries.keys()
    const changes: UserPresence[] = []
    for (const user of users) {
      const entry = watch.entries.get(user) as Entry<C>
      const presence = presenceOf(user, entry)
      if (presence === null) {
        if (!watch.announced) return true
      } else if (watch.announced && samePresence(entry.told, presence)) watch.dirty.delete(user)
      else changes.push(presence)
    }
    if (!watch.announced) this.#sink.announce(watch.connection, changes)
    else if (changes.length > 0 && !this.#sink.update(watch.connection, changes)) return false
    watch.announced = true
    for (const presence of changes) {
      watch.dirty.delete(presence.id)
      ;(watch.entries.get(presence.id) as Entry<C>).told = presence
    }
    return true
  }

  #drop(watch: Watch<C>): void {
    this.#untold.delete(watch)
    this.#blocked.delete(watch)
    for (const { subject } of watch.entries.values()) {
      if (subject != null) this.subjects.release(subject, watch)
    }
  }
}

/** Heads in one question. */
const maxKnown = 64

export interface Where {
  conversation: string
  seq: number
}

export interface Check<C> {
  readonly watch: Watch<C>
  readonly known: ReadonlyMap<string, number>
}

/** Null: it is not known, and nothing is said. */
function presenceOf(user: string, { subject }: Entry<unknown>): UserPresence | null {
  if (subject === null) return { id: user, state: 'offline' }
  return subject?.presence ?? null
}

function raise(known: Map<string, number>, conversation: string, seq: number): void {
  known.set(conversation, Math.max(seq, known.get(conversation) ?? 0))
}
