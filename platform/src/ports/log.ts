import type { RecordHeaders } from '@parley/proto/record-headers'

/**
 * The log: topics of numbered partitions, each an ordered list of records that only grows at its end.
 *
 * Guarantees, the same for every adapter (contract suite: `contract/log.ts`, whose tests carry these ids):
 * - [LOG1] Durability: `append` resolves only when the records are safe from the crash of any process of ours and, on
 *   the embedded adapter, of the machine. When it rejects with anything but RangeError, the records are there or not:
 *   the caller doesn't know and may append again, so doubled records occur.
 * - [LOG2] Atomicity: the records of one `append` take neighbouring offsets, all of them or (after a crash) none.
 * - [LOG3] Order: offsets of a partition rise by exactly 1 and are never given twice, whatever was trimmed or
 *   restarted; a later `append` of one caller, made after an earlier one resolved, has greater offsets. Appends in
 *   flight together have any order.
 * - [LOG4] Refusals: an unknown topic or partition, an append of no records and a value above the adapter's
 *   `maxRecordBytes` reject with RangeError, and nothing was written. What is too much at once rejects too.
 * - [LOG5] Groups: within a group every partition has at most one assignment at a time as far as the log knows. In a
 *   rebalance partitions are first taken back, then given anew. A consumer that does not let go in time is cut off;
 *   it may go on for a while (a zombie), but its `commit` rejects with AssignmentLost.
 * - [LOG6] Redelivery: a new assignment starts where its `start` says, so whatever was not committed comes again.
 * - [LOG7] Commits are durable like appends, belong to their group alone, and never fall.
 * - [LOG8] Pausing: a partition waits for its reader and no other partition waits with it. What is appended while a
 *   reader waits for more reaches it at once, without polling.
 * - [LOG9] Failing: what stops a partition stops no other and no other group, and is told once. Of what `assigned` or
 *   `read` reject with after the assignment's signal was aborted nothing is told; a `revoked` that rejects is.
 * - [LOG10] Trimming: records before `earliest` are gone. Reading there (or past `next`) stops the partition with
 *   `OffsetOutOfRange`, and nothing is ever skipped in silence.
 * - [LOG11] The epoch is made once and stands in every record's headers.
 * - [LOG12] Leaving: a reader's `revoked` comes once, after its last `read` settled. `close` of the log makes every
 *   member leave and waits for appends in flight; afterwards every call rejects.
 */
export interface Log {
  /** [R15] The identity of this log, a UUID made once when it was created. */
  readonly epoch: string
  /** Throws RangeError for an unknown topic. */
  partitions(topic: string): number
  append(topic: string, partition: number, records: NewRecord[]): Promise<Appended>
  /** The offsets a partition holds: from `earliest` up to but not including `next`. */
  range(topic: string, partition: number): Promise<{ earliest: number; next: number }>
  /** Joins a group; assignments follow through `consumer` until `close`. Resolves when the group knows the member. */
  join(group: string, topic: string, consumer: Consumer): Promise<Membership>
  /**
   * Lets go of records before `before`, at most `next` (else OffsetOutOfRange). `earliest` has risen when it resolves,
   * the removing itself may lag; nothing at or after `before` is ever removed.
   */
  trim(topic: string, partition: number, before: number): Promise<void>
  close(): Promise<void>
}

export interface NewRecord {
  /** The adapter adds the epoch itself. */
  headers: Omit<RecordHeaders, 'epoch'>
  value: Uint8Array
}

export interface LogRecord {
  offset: number
  headers: RecordHeaders
  value: Uint8Array
}

export interface Appended {
  /** The offset of the first record of this append. */
  offset: number
}

export interface Consumer {
  /**
   * Called for each partition given to this member. What it returns reads the partition until the assignment ends.
   * A rejection stops the partition: `failed` is told, and nothing of it is read until it is assigned anew.
   */
  assigned(assignment: Assignment): Promise<PartitionReader>
  /** The partition stopped because a reader, the log or an offset failed. It is not retried by itself. */
  failed(partition: number, error: Error): void
}

export interface Assignment {
  readonly topic: string
  readonly partition: number
  /** The group's committed offset (the next to read) when the partition was given, or null when there is none. */
  readonly committed: number | null
  /** Aborted as soon as this member knows that it lost the partition. */
  readonly signal: AbortSignal
  /**
   * Stores the group's next offset to read; resolves when stored. Rejects with AssignmentLost once the partition was
   * taken back; until `revoked` resolved it may still succeed. An offset below the committed one is refused with
   * RangeError.
   */
  commit(next: number): Promise<void>
}

export interface PartitionReader {
  /** The offset of the first record wanted. */
  readonly start: number
  /**
   * Records in order, without a hole, the next batch only after this one resolved: not resolving is how a reader
   * pauses its partition, for as long as it likes. A rejection stops the partition.
   */
  read(records: LogRecord[]): Promise<void>
  /** The assignment ended; called once, after the last `read` settled. */
  revoked(): Promise<void>
}

export interface Membership {
  /** Leaves the group: its readers' `revoked` has resolved when this does. Rejects when one did not let go in time. */
  close(): Promise<void>
}

/** An offset was asked for that the log no longer (or does not yet) hold. */
export class OffsetOutOfRange extends Error {
  override readonly name = 'OffsetOutOfRange'
  constructor(topic: string, partition: number, offset: number, earliest: number, next: number) {
    super(`${topic}/${partition}: offset ${offset} asked, the log holds ${earliest} up to ${next}`)
  }
}

/** A commit came from an assignment that has ended: the partition belongs to another member, or to none. */
export class AssignmentLost extends Error {
  override readonly name = 'AssignmentLost'
  constructor(group: string, topic: string, partition: number) {
    super(`${topic}/${partition}: group ${group} has taken this partition back`)
  }
}

/** The log can't be opened as configured: one sentence that says why. Nothing of it was changed. */
export class LogUnusable extends Error {
  override readonly name = 'LogUnusable'
}
