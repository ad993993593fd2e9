import { presenceTimes, type UserPresence } from '@parley/proto/session-records'

/** A user whose presence is watched here. */
export interface Subject<W> {
  readonly user: string
  readonly watchers: Set<W>
  /** Null: not known yet. */
  presence: UserPresence | null
  /** Its channel is heard, so what an answer does not show yet will come by. */
  heard: boolean
  asking: boolean
  /** To be asked, when nothing is being asked. */
  due: boolean
  /** Something came by while it was asked: the answer may be older than that. */
  overtaken: boolean
  askedAt: number
  /** When to ask whether the last answer still holds; 0: that is known. */
  confirmAt: number
}

/**
 * An answer is the state of its very moment. One that lasted less than `changeMs` is never told, and so neither is its
 * end: what an answer brought is asked for once more when that time, and a little for the telling, has passed.
 */
const confirmMs = presenceTimes.changeMs + 500

export interface SubjectsSink<W> {
  /** Listen to the user's channel, then call `listening`. */
  listen(user: string): void
  unlisten(user: string): void
  changed(subject: Subject<W>): void
}

/**
 * What is known of watched users: first their channel is heard, then they are asked for; an answer that was overtaken by
 * a change is asked for again, and one that brought news is confirmed. So nobody stays with an older state. Pure.
 */
export class Subjects<W> {
  readonly #sink: SubjectsSink<W>
  readonly #byUser = new Map<string, Subject<W>>()
  readonly #due = new Set<Subject<W>>()
  /** By `confirmAt`, the soonest first. */
  readonly #unconfirmed = new Set<Subject<W>>()

  constructor(sink: SubjectsSink<W>) {
    this.#sink = sink
  }

  get size(): number {
    return this.#byUser.size
  }

  hold(user: string, watcher: W): Subject<W> {
    let subject = this.#byUser.get(user)
    if (subject === undefined) {
      subject = {
        user,
        watchers: new Set(),
        presence: null,
        heard: false,
        asking: false,
        due: false,
        overtaken: false,
        askedAt: 0,
        confirmAt: 0,
      }
      this.#byUser.set(user, subject)
      this.#sink.listen(user)
    }
    subject.watchers.add(watcher)
    return subject
  }

  release(subject: Subject<W>, watcher: W): void {
    subject.watchers.delete(watcher)
    if (subject.watchers.size > 0) return
    this.#byUser.delete(subject.user)
    this.#due.delete(subject)
    this.#unconfirmed.delete(subject)
    this.#sink.unlisten(subject.user)
  }

  find(user: string): Subject<W> | undefined {
    return this.#byUser.get(user)
  }

  /** The user's channel is heard from now on, or what it said may have been missed until now. */
  listening(user: string): void {
    const subject = this.#byUser.get(user)
    if (subject === undefined) return
    subject.heard = true
    this.#renew(subject)
  }

  /** Anything may have been missed by those last asked before `askedBefore`: all of them are asked again. */
  renew(askedBefore: number): void {
    for (const subject of this.#byUser.values()) {
      if (subject.heard && subject.askedAt < askedBefore) this.#renew(subject)
    }
  }

  /** A change came by. */
  tell(presence: UserPresence): void {
    const subject = this.#byUser.get(presence.id)
    if (subject === undefined) return
    subject.overtaken = subject.asking
    this.#set(subject, presence)
  }

  /** Up to `limit` users who must be asked for; `answered` follows. */
  take(limit: number, now: number): Subject<W>[] {
    for (const subject of this.#unconfirmed) {
      if (subject.confirmAt > now) break
      this.#unconfirmed.delete(subject)
      this.#renew(subject)
    }
    const taken: Subject<W>[] = []
    for (const subject of this.#due) {
      if (taken.length === limit) break
      this.#due.delete(subject)
      subject.due = false
      subject.asking = true
      subject.overtaken = false
      subject.askedAt = now
      taken.push(subject)
    }
    return taken
  }

  /** What was said of those taken, in their order; null: nothing. */
  answered(
    taken: readonly Subject<W>[],
    presences: readonly UserPresence[] | null,
    now: number,
  ): void {
    taken.forEach((subject, i) => {
      subject.asking = false
      if (this.#byUser.get(subject.user) !== subject) return
      const presence = presences?.[i]
      if (presence !== undefined && !subject.overtaken && this.#set(subject, presence)) {
        subject.confirmAt = now + confirmMs
        this.#unconfirmed.delete(subject)
        this.#unconfirmed.add(subject)
      }
      if (presence === undefined || subject.overtaken || subject.due) this.#renew(subject)
    })
  }

  #renew(subject: Subject<W>): void {
    subject.due = true
    if (!subject.asking) this.#due.add(subject)
  }

  /** Whether that is news. */
  #set(subject: Subject<W>, presence: UserPresence): boolean {
    if (samePresence(subject.presence, presence)) return false
    subject.presence = presence
    this.#sink.changed(subject)
    return true
  }
}

export function samePresence(a: UserPresence | null, b: UserPresence | null): boolean {
  return a === b || (a?.id === b?.id && a?.state === b?.state && a?.lastSeen === b?.lastSeen)
}
