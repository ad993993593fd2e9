import type { LogRecord } from '@parley/platform/ports/log'
import { isId } from '@parley/proto/ids'
import { recordSchema } from '@parley/proto/record-headers'
import {
  decodeSessionRecord,
  presenceTimes,
  type SessionNotice,
} from '@parley/proto/session-records'

/** A record that this release must not pass over: the partition stops ([R15]). */
export class RecordUnusable extends Error {
  override readonly name = 'RecordUnusable'
}

export interface RecordsPlace {
  /** `topic/partition`, for messages. */
  partition: string
  /** The offset that the first record must have. */
  next: number
  /** The log's epoch. */
  epoch: string
}

/** The notices of neighbouring records, in order. Throws RecordUnusable. */
export function readNotices(records: readonly LogRecord[], place: RecordsPlace): SessionNotice[] {
  return records.flatMap((record, index) => {
    const unusable = flawOf(record, place.next + index, place.epoch)
    if (unusable !== undefined) {
      throw new RecordUnusable(`${place.partition}: the record at ${record.offset} ${unusable}`)
    }
    return decode(record, place)
  })
}

function flawOf({ offset, headers }: LogRecord, due: number, epoch: string): string | undefined {
  if (offset !== due) return `came where ${due} was due`
  if (headers.schema !== recordSchema) {
    return `has schema ${headers.schema}, this release reads ${recordSchema}`
  }
  if (headers.epoch !== epoch) return `is of the log ${headers.epoch}, this one is ${epoch}`
  return undefined
}

function decode({ offset, value }: LogRecord, { partition }: RecordsPlace): SessionNotice[] {
  try {
    const notices = decodeSessionRecord(value)
    if (!notices.every(isNotice)) throw new Error('a notice lacks an id or a time')
    return notices
  } catch (cause) {
    throw new RecordUnusable(`${partition}: the record at ${offset} can not be decoded`, { cause })
  }
}

function isNotice({ user, connection, activeAt, at }: SessionNotice): boolean {
  return isId(user) && isId(connection) && isTime(activeAt) && isTime(at)
}

function isTime(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

/** Of each connection what was said last; of the same moment that it closed. */
export function latestOf(notices: readonly SessionNotice[]): SessionNotice[] {
  const latest = new Map<string, SessionNotice>()
  for (const notice of notices) {
    const known = latest.get(notice.connection)
    if (known !== undefined) {
      if (notice.at < known.at || (notice.at === known.at && known.state === 'closed')) continue
    }
    latest.set(notice.connection, notice)
  }
  return [...latest.values()]
}

/** What was said so long ago that its lease is over: it would bring back who may be gone. */
export function isStale({ at }: SessionNotice, nowMs: number): boolean {
  return nowMs - at >= presenceTimes.leaseMs
}

/** Leases are told apart to this much, so that those of one batch need few calls. */
const ttlStepMs = 1_000

/**
 * What is left of a notice's lease, in whole steps: it counts from when it was said, not from when it is stored, at most
 * one step longer; never less than one.
 */
export function ttlOf({ at }: SessionNotice, nowMs: number): number {
  const leftMs = Math.min(presenceTimes.leaseMs, presenceTimes.leaseMs - (nowMs - at))
  return Math.max(1, Math.ceil(leftMs / ttlStepMs)) * ttlStepMs
}
