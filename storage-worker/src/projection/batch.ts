import type { LogRecord } from '@parley/platform/ports/log'
import { type RawEvent, readEventFrame } from '@parley/proto/event-frame'
import { decodeEventRecord } from '@parley/proto/event-records'
import type { History } from '@parley/proto/frames'
import { formatId } from '@parley/proto/ids'
import { recordSchema } from '@parley/proto/record-headers'
import { ProjectionStopped } from './stopped.ts'

/** A bound in the commands log, within the present epoch: the first place not covered ([R2]). */
export interface Bound {
  offset: number
  index: number
}

/** [R4] What the database says of a partition: `next` is E, the next offset in the events log; `upTo` is S. */
export interface Checkpoint {
  /** The number of the epoch that both belong to. */
  epoch: number
  next: number
  upTo: Bound
}

/** An event as the log has it, with the place of its command. */
export interface LoggedEvent {
  /** The offset of the record it stands in. */
  record: number
  /** The command's place in the commands log. */
  offset: number
  index: number
  hash: Uint8Array
  conversation: string
  event: RawEvent
  /** `created` only. */
  history: History | undefined
}

/** Neighbouring records of one partition, decoded: what one transaction projects. */
export interface Batch {
  partition: number
  epoch: number
  /** The offset of its first record, which must be E when it is projected. */
  first: number
  /** E once it is projected. */
  next: number
  /** `upTo` of each of its records. A zombie's may be lower than one before it. */
  upTos: Bound[]
  events: LoggedEvent[]
}

export interface DecodeOptions {
  partition: number
  epoch: number
  /** The log's UUID, which every record's headers must carry. */
  epochId: string
  /** A batch ends with the record that reaches this many events. */
  maxEvents: number
}

/**
 * Records, in order, as batches; every record gets into one, also those without events. Throws `ProjectionStopped`
 * when it reaches a record that can't be read or does not follow the one before ([R15]), after it has yielded what
 * stood before it.
 */
export function* decodeBatches(
  records: readonly LogRecord[],
  options: DecodeOptions,
): Generator<Batch> {
  let batch: Batch | undefined
  for (const record of records) {
    let decoded: DecodedRecord
    try {
      decoded = decodeRecord(record, options)
      if (batch !== undefined && record.offset !== batch.next) {
        throw new ProjectionStopped(
          { partition: options.partition, offset: record.offset },
          `the record before has the offset ${batch.next - 1}`,
        )
      }
    } catch (error) {
      if (batch !== undefined) yield batch
      throw error
    }
    batch = extend(batch, decoded, options)
    if (batch.events.length >= options.maxEvents) {
      yield batch
      batch = undefined
    }
  }
  if (batch !== undefined) yield batch
}

interface DecodedRecord {
  offset: number
  upTo: Bound
  events: LoggedEvent[]
}

function extend(
  batch: Batch | undefined,
  record: DecodedRecord,
  { partition, epoch }: DecodeOptions,
): Batch {
  if (batch === undefined) {
    const { offset, upTo, events } = record
    return { partition, epoch, first: offset, next: offset + 1, upTos: [upTo], events }
  }
  batch.next = record.offset + 1
  batch.upTos.push(record.upTo)
  for (const event of record.events) batch.events.push(event)
  return batch
}

function decodeRecord(record: LogRecord, { partition, epochId }: DecodeOptions): DecodedRecord {
  const where = { partition, offset: record.offset }
  const { schema, epoch } = record.headers
  if (schema !== recordSchema) {
    throw new ProjectionStopped(
      where,
      `the record has schema ${schema}, this release reads ${recordSchema}`,
    )
  }
  if (epoch !== epochId) {
    throw new ProjectionStopped(
      where,
      `the record is of the log ${epoch}, the database is at the log ${epochId}`,
    )
  }
  try {
    const { upTo, events } = decodeEventRecord(record.value)
    return {
      offset: record.offset,
      upTo,
      events: events.map(({ offset, index, hash, frame, history }) => {
        const event = readEventFrame(frame)
        const conversation = formatId(event.conversation)
        return { record: record.offset, offset, index, hash, conversation, event, history }
      }),
    }
  } catch (cause) {
    throw new ProjectionStopped(where, 'the record can not be decoded', { cause })
  }
}

/** What of a batch stands before the record with that offset; undefined when nothing does. */
export function batchBefore(batch: Batch, record: number): Batch | undefined {
  if (record <= batch.first) return undefined
  return {
    ...batch,
    next: record,
    upTos: batch.upTos.slice(0, record - batch.first),
    events: batch.events.filter((e) => e.record < record),
  }
}

/** [R2] Each says that everything before it is covered, so the highest counts. */
export function highestBound(bounds: readonly [Bound, ...Bound[]]): Bound {
  return bounds.reduce((a, b) =>
    a.offset > b.offset || (a.offset === b.offset && a.index >= b.index) ? a : b,
  )
}
