import { Observed } from './observed.ts'
import {
  createReader,
  type MembershipAnswer,
  type Reader,
  type RoomSink,
  type Run,
} from './reader.ts'
import { RecentFrames } from './recent-frames.ts'
import { Rumour } from './rumour.ts'

/**
 * Which events each reader of a conversation gets. Pure: no clock, no I/O; what is to be done is told to a sink.
 *
 * A reader goes on at seq n only when its membership is proven as of n − 1: by a snapshot of the directory, or by one
 * as of an earlier head together with an unbroken view of every event since, none of which removed its user ([G6]).
 * Whatever does not follow is withheld until the directory has been asked anew, and then told by a gap ([G7]).
 */

export class Room<C> {
  readonly conversation: string
  readonly readers = new Set<Reader<C>>()
  /** The highest seq seen go by, or announced by the partition's owner. */
  head: number
  /** Set by each publish; whoever announces heads clears it. */
  active = false
  readonly #sink: RoomSink<C>
  readonly #observed: Observed
  readonly #recent = new RecentFrames()
  readonly #rumour = new Rumour()
  readonly #ending = new Set<Reader<C>>()

  /** `head` is what the directory says as the room is made. */
  constructor(conversation: string, head: number, sink: RoomSink<C>) {
    this.conversation = conversation
    this.head = head
    this.#observed = new Observed(head + 1)
    this.#sink = sink
  }

  /** The highest head that is known of, whether its events came by or not. */
  get knownHead(): number {
    return Math.max(this.head, this.#rumour.head)
  }

  /**
   * Binds a connection whose user was inside as of `head` in the directory. The client is told `next − 1` as its
   * head in `welcome`, so nothing is owed unless the reader had to be held.
   */
  join(connection: C, user: string, head: number): Reader<C> {
    const reader = this.#bind(connection, user, head)
    if (head < this.head) {
      if (this.#observed.proves(user, head)) reader.next = this.head + 1
      else this.#hold(reader)
    }
    this.rumour(head)
    return reader
  }

  /**
   * Binds a connection whose user was added by event `seq` and not `removedSince`. It gets nothing before `introduce`.
   */
  admit(connection: C, user: string, seq: number): Reader<C> {
    const seen = seq <= this.head
    const proven = !seen || this.head === seq || this.#observed.proves(user, seq)
    // The event itself is still to come by, or is kept.
    const whole = seq === this.head + 1 || (seen && proven && this.#recent.from(seq) !== null)
    const reader = this.#bind(connection, user, whole ? seq - 1 : seq)
    reader.introduced = false
    reader.since = seq
    reader.owed = !whole
    if (whole) this.#withhold(reader)
    else if (!proven) this.#hold(reader)
    else reader.next = Math.max(seq, this.head) + 1
    return reader
  }

  /** As `join`, for a client that does not know of the conversation: it gets nothing before `introduce`, then a gap. */
  joinUnknown(connection: C, user: string, head: number): Reader<C> {
    const reader = this.join(connection, user, head)
    reader.introduced = false
    reader.owed = true
    return reader
  }

  /** The `conversation` frame that tells a reader it was added has been sent: it gets what waited, or a gap. */
  introduce(reader: Reader<C>): void {
    if (reader.introduced) return
    reader.introduced = true
    if (reader.state === 'resuming') this.resumed(reader, reader.next - 1)
    else if (reader.state === 'live' && reader.owed) this.#tell(reader)
  }

  /** Whether the user is known to have been removed after event `seq`. */
  removedSince(user: string, seq: number): boolean {
    return this.#observed.removedSince(user, seq)
  }

  /** A notice says that event `seq` added the user of a reader that is already bound. */
  readmit(reader: Reader<C>, seq: number): void {
    if (reader.state === 'gone' || seq <= reader.since || seq < reader.next) return
    if (reader.state === 'held') {
      reader.next = seq + 1
      reader.since = seq
    } else reader.readmitted = Math.max(reader.readmitted, seq)
  }

  /** A notice says that event `seq` removed the reader's user. It may be late, or come before the event. */
  expel(reader: Reader<C>, seq: number): void {
    if (reader.state === 'gone' || seq <= reader.since) return
    reader.expelled = Math.max(reader.expelled, seq)
    if (reader.state === 'live') {
      if (seq < reader.next) {
        this.#hold(reader)
      } else {
        reader.until = reader.until === 0 ? seq : Math.min(reader.until, seq)
        this.#ending.add(reader)
      }
    } else if (seq >= reader.next) this.#end(reader, seq)
  }

  leave(reader: Reader<C>): void {
    if (reader.state === 'resuming') this.#recent.release()
    reader.state = 'gone'
    this.readers.delete(reader)
    this.#ending.delete(reader)
  }

  /** Events as they were published, in any order, doubled or with holes. No frames: `first − 1` is the head. */
  publish(run: Run): void {
    if (run.frames.length === 0) {
      this.announce(run.first - 1)
      return
    }
    const before = this.head
    const last = run.first + run.frames.length - 1
    if (last <= before) return
    this.active = true
    if (run.first > before + 1) this.#forget(run.first)
    this.head = last
    this.#recent.add(run, before)
    const removals = this.#observed.note(run, before, last)
    for (const reader of this.readers) {
      const removal = removals?.get(reader.user)?.find((seq) => seq >= reader.next) ?? 0
      if (reader.state === 'live') this.#advance(reader, run, removal)
      else if (removal !== 0) this.#end(reader, removal)
      else if (reader.state === 'resuming' && run.first > Math.max(reader.next, before + 1)) {
        this.#hold(reader)
      }
    }
  }

  /** The head is at least this, whatever was seen: readers behind it missed something. */
  announce(head: number): void {
    if (head <= this.head) return
    this.active = true
    this.head = head
    this.#forget(head + 1)
    for (const reader of this.readers) {
      if (reader.next > head || reader.state === 'held') continue
      if (reader.until !== 0) this.#end(reader, reader.until)
      else this.#hold(reader)
    }
  }

  /** The directory, or an ack, knows this head. Its publish may be on its way; `tick` treats it as lost when it stays away. */
  rumour(head: number): void {
    if (head > this.head) this.#rumour.hear(head)
  }

  /** Called every few seconds: gives up waiting for what should have come by. */
  tick(): void {
    for (const reader of this.#ending) {
      reader.waitedTicks += 1
      if (reader.waitedTicks > 1) this.#end(reader, reader.until)
    }
    this.#recent.tick()
    if (this.#rumour.head > this.head && this.#rumour.overdue()) this.announce(this.#rumour.head)
  }

  /** The directory's answer for a held reader. */
  checked(reader: Reader<C>, answer: MembershipAnswer): void {
    if (reader.state !== 'held') return
    if (answer === 'unavailable' || (!answer.inside && answer.asOf < reader.since)) {
      this.#ask(reader, true)
      return
    }
    if (!answer.inside) {
      this.#end(reader, 0)
      return
    }
    const provenHead = Math.max(answer.head, reader.next - 1)
    reader.since = Math.max(reader.since, answer.head)
    if (reader.until <= reader.since) this.#expect(reader)
    reader.next = provenHead + 1
    if (provenHead < this.head) {
      if (!this.#observed.proves(reader.user, provenHead)) {
        this.#ask(reader, true)
        return
      }
      reader.next = this.head + 1
    }
    reader.state = 'live'
    this.#tell(reader)
  }

  /** Withholds a live reader's events until `resumed`. False when it is not in a state to resume. */
  resume(reader: Reader<C>): boolean {
    if (reader.state !== 'live' || reader.owed) return false
    this.#withhold(reader)
    return true
  }

  /** Its page went out up to `last` (null: it could not be read): the reader goes on from there, or is told a gap. */
  resumed(reader: Reader<C>, last: number | null): void {
    if (reader.state !== 'resuming') return
    const whole = last !== null && last >= reader.next - 1
    const kept = whole ? this.#recent.from(last + 1) : null
    reader.state = 'live'
    if (whole && last >= this.head) reader.next = last + 1
    else if (whole && kept !== null) {
      reader.next = this.head + 1
      reader.owed = !this.#sink.deliver(reader, kept, last + 1, this.head)
    } else {
      reader.next = Math.max(reader.next, this.head + 1)
      this.#tell(reader)
    }
    this.#recent.release()
  }

  /** The directory does not show the reader's membership any more: asks anew before anything else is sent. */
  doubt(reader: Reader<C>): void {
    if (reader.state === 'live' || reader.state === 'resuming') this.#hold(reader)
  }

  /** The link can carry events again. True when nothing is owed any more. */
  drained(reader: Reader<C>): boolean {
    if (reader.owed && reader.state === 'live') this.#tell(reader)
    return !reader.owed || reader.state !== 'live'
  }

  #bind(connection: C, user: string, head: number): Reader<C> {
    const reader = createReader<C>(this, { connection, user, head })
    this.readers.add(reader)
    return reader
  }

  /** `removal` is the first one of its user in this run that the reader has not passed; 0: none. */
  #advance(reader: Reader<C>, run: Run, removal: number): void {
    let end = run.first + run.frames.length - 1
    if (end < reader.next) return
    let stop = removal
    if (reader.until !== 0 && (stop === 0 || reader.until < stop)) stop = reader.until
    if (run.first > reader.next || (stop !== 0 && stop < reader.next)) {
      if (stop !== 0) this.#end(reader, stop)
      else this.#hold(reader)
      return
    }
    if (stop !== 0) end = Math.min(end, stop)
    const first = reader.next
    reader.next = end + 1
    if (reader.owed || !this.#sink.deliver(reader, run, first, end)) reader.owed = true
    if (end === stop) this.#end(reader, stop)
  }

  /** Its removal of which a notice told turned out to be an older one. */
  #expect(reader: Reader<C>): void {
    reader.until = 0
    reader.waitedTicks = 0
    this.#ending.delete(reader)
  }

  #hold(reader: Reader<C>): void {
    if (reader.state === 'resuming') this.#recent.release()
    reader.state = 'held'
    reader.owed = true
    this.#ask(reader, false)
  }

  #ask(reader: Reader<C>, again: boolean): void {
    this.#sink.recheck(reader, Math.max(this.#observed.from - 1, reader.since), again)
  }

  #end(reader: Reader<C>, removal: number): void {
    const { readmitted } = reader
    this.leave(reader)
    this.#sink.removed(reader)
    if (readmitted > Math.max(removal, reader.expelled)) this.#sink.readmitted(reader, readmitted)
  }

  #tell(reader: Reader<C>): void {
    reader.owed = !reader.introduced || !this.#sink.gap(reader, reader.next - 1)
  }

  #withhold(reader: Reader<C>): void {
    reader.state = 'resuming'
    this.#recent.hold(this.head)
  }

  #forget(observedFrom: number): void {
    this.#observed.forget(observedFrom)
    this.#recent.forget(observedFrom)
  }
}
