import type { Room } from './rooms.ts'

/** Neighbouring events, one frame a seq from `first` on. */
export interface Run {
  readonly first: number
  /** `event` frames as MessagePack. */
  readonly frames: readonly Uint8Array[]
  /** Users removed by the event with that seq. */
  readonly removed: readonly { readonly seq: number; readonly user: string }[]
  /** The last event that added members, and the last that changed the title; 0: none. */
  readonly joined: number
  readonly updated: number
}

export interface Reader<C> {
  readonly room: Room<C>
  readonly connection: C
  readonly user: string
  /** The next seq this reader is due; its membership is proven as of the one before. */
  next: number
  /** The directory, or the notice that added it, proves its membership as of this seq. */
  since: number
  /** `held`: withheld until the directory answers. `resuming`: withheld until its page of missed events was sent. */
  state: 'live' | 'held' | 'resuming' | 'gone'
  /** Its client knows of the conversation: from `welcome`, or by a `conversation` frame. */
  introduced: boolean
  /** Events were withheld; nothing follows before a gap has said so. */
  owed: boolean
  /** How far its user has read, as far as is known here. No business of the room's, as `updated` is none. */
  read: number
  /** The last event of which a `conversation` frame `updated` told, or is about to. */
  updated: number
  /** Removed by the event with this seq, of which a notice told before the event came. 0: none. */
  until: number
  /** Added again by the event with this seq, of which a notice told before its removal came. 0: none. */
  readmitted: number
  /** The last removal that a notice told of. 0: none. */
  expelled: number
  /** Ticks that `until` has waited for its event. */
  waitedTicks: number
}

/** A live reader whose user was inside as of `head`. */
export function createReader<C>(
  room: Room<C>,
  { connection, user, head }: { connection: C; user: string; head: number },
): Reader<C> {
  return {
    room,
    connection,
    user,
    next: head + 1,
    since: head,
    state: 'live',
    introduced: true,
    owed: false,
    read: 0,
    updated: 0,
    until: 0,
    readmitted: 0,
    expelled: 0,
    waitedTicks: 0,
  }
}

export interface RoomSink<C> {
  /**
   * Send the events `first` to `last` of a run. False when the link can't carry them now; then `drained` is to be
   * called once it can.
   */
  deliver(reader: Reader<C>, run: Run, first: number, last: number): boolean
  /** Tell that events up to `head` were withheld. False as in `deliver`. */
  gap(reader: Reader<C>, head: number): boolean
  /** The reader's user is outside now, and the reader gone from the room. */
  removed(reader: Reader<C>): void
  /** The reader has gone by its removal, but an event after that, `seq`, added its user again. */
  readmitted(reader: Reader<C>, seq: number): void
  /**
   * Ask the directory whether the user is inside, in a snapshot no older than `knownHead`, then call `checked`.
   * `again`: the last answer did not suffice.
   */
  recheck(reader: Reader<C>, knownHead: number, again: boolean): void
}

/** What the directory says: inside as of `head`, or outside in a snapshot no older than `asOf`. */
export type MembershipAnswer =
  | { inside: true; head: number }
  | { inside: false; asOf: number }
  | 'unavailable'
