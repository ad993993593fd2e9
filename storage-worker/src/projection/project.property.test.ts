import type { LogRecord } from '@parley/platform/ports/log'
import { decodeEventFrame, encodeEventFrame, readEventFrame } from '@parley/proto/event-frame'
import type { EventEntry } from '@parley/proto/event-records'
import type { Event, EventKind } from '@parley/proto/frames'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  entryFor,
  epochId,
  histories,
  idOf,
  type Outcome,
  outcomes,
  recordOf,
} from '../testing/histories.ts'
import { projectInMemory, writeInMemory } from '../testing/memory-database.ts'
import { applyOnce } from '../testing/reference.ts'
import { emptyTables, type Tables } from '../testing/tables.ts'
import { type Batch, type Bound, batchBefore, decodeBatches, highestBound } from './batch.ts'
import { ProjectionStopped } from './stopped.ts'

const epoch = 3
const start: Bound = { offset: 0, index: 0 }

/** A database of one partition: tables and checkpoint, changed together or not at all. */
interface Store {
  tables: Tables
  next: number
  upTo: Bound
}

function emptyStore(): Store {
  return { tables: emptyTables(), next: 0, upTo: start }
}

/** What `transaction.ts` does under the checkpoint's lock; false when the checkpoint is elsewhere. */
function projectOnce(store: Store, batch: Batch, crash: boolean): boolean {
  if (store.next !== batch.first) return false
  const projection = projectInMemory(store.tables, batch)
  if (crash) return false
  writeInMemory(store.tables, projection, epoch)
  store.next = batch.next
  store.upTo = highestBound([store.upTo, ...batch.upTos])
  return true
}

/** One worker reads some records from where it believes the checkpoint to be. */
interface Turn {
  worker: 0 | 1
  records: number
  maxEvents: number
  crash: boolean
}

const turn: fc.Arbitrary<Turn> = fc.record({
  worker: fc.constantFrom(0 as const, 1 as const),
  records: fc.integer({ min: 1, max: 8 }),
  maxEvents: fc.integer({ min: 1, max: 12 }),
  crash: fc.boolean(),
})

function decode(records: LogRecord[], maxEvents = 1_000) {
  return decodeBatches(records, { partition: 0, epoch, epochId, maxEvents })
}

function consume(store: Store, log: LogRecord[], turns: Turn[]): void {
  const believed = [0, 0]
  for (const { worker, records, maxEvents, crash } of turns) {
    const from = believed[worker] ?? 0
    for (const batch of decode(log.slice(from, from + records), maxEvents)) {
      const before = store.upTo
      const stored = projectOnce(store, batch, crash)
      expect(placeOf(store.upTo)).toBeGreaterThanOrEqual(placeOf(before))
      believed[worker] = store.next
      if (!stored) break
    }
  }
  for (const batch of decode(log.slice(store.next))) projectOnce(store, batch, false)
}

/** Histories have fewer than 1,000 commands a record. */
function placeOf({ offset, index }: Bound): number {
  return offset * 1_000 + index
}

function expected(played: readonly Outcome[]): Tables {
  const tables = emptyTables()
  for (const { entry } of played) if (entry !== undefined) applyOnce(tables, entry, epoch)
  return tables
}

describe('projection', { timeout: 60_000 }, () => {
  it('[R4] [G3] [G4] however records are doubled, cut into batches, crashed over and raced for, each event counts once', () => {
    fc.assert(
      fc.property(histories, fc.array(turn, { maxLength: 40, size: 'max' }), (history, turns) => {
        const store = emptyStore()
        consume(store, history.records, turns)
        expect(store.tables).toEqual(expected(history.outcomes))
        expect(store.next).toBe(history.records.length)
        expect(store.upTo).toEqual(history.outcomes.at(-1)?.after ?? start)
      }),
      { numRuns: 500 },
    )
  })

  it('[R4] S is what the records say, never the place of an event', () => {
    const store = emptyStore()
    const created = createdEntry({ offset: 70, index: 2 })
    for (const batch of decode([recordOf(0, start, [created])])) projectOnce(store, batch, false)
    expect(store.upTo).toEqual(start)
    expect(store.tables.messages.size).toBe(1)
  })

  it('[R4] a hole stops the partition at its record, and what stands before is projected however batches were cut', () => {
    fc.assert(
      fc.property(
        outcomes,
        fc.nat(),
        fc.integer({ min: 1, max: 20 }),
        (played, pick, maxEvents) => {
          const followed = played.filter((o) => followerOf(played, o) !== undefined)
          const missing = followed[pick % Math.max(1, followed.length)]
          fc.pre(missing !== undefined)
          const records = played
            .filter((o) => o !== missing)
            .map((o, offset) => recordOf(offset, o.after, [o.entry]))
          const follower = followerOf(played, missing) as Outcome
          const store = emptyStore()
          const stopped = consumeUntilStopped(store, records, maxEvents)
          expect(stopped.where.offset).toBe(played.indexOf(follower) - 1)
          expect(store.next).toBe(stopped.where.offset)
          const before = played.filter((o) => o !== missing).slice(0, stopped.where.offset)
          expect(store.tables).toEqual(expected(before))
          expect(store.upTo).toEqual(before.at(-1)?.after ?? start)
        },
      ),
    )
  })

  it('[R4] an event that comes again with any part changed stops the partition, before its commit and after', () => {
    fc.assert(
      fc.property(
        histories,
        fc.nat(),
        fc.constantFrom(...changes),
        fc.boolean(),
        (history, pick, change, sameBatch) => {
          const placed = history.outcomes.filter((o) => o.entry !== undefined)
          const original = placed[pick % Math.max(1, placed.length)]
          const changed =
            original === undefined ? undefined : change.make(original, history.outcomes)
          fc.pre(changed !== undefined)
          const { records } = history
          const last = records.length
          const log = [...records, recordOf(last, start, [changed])]
          const store = emptyStore()
          if (!sameBatch) consume(store, records, [])
          const stopped = consumeUntilStopped(store, log.slice(store.next), 1_000)
          expect(stopped.message).toContain(`its ${change.part} differs`)
          expect(stopped.where.offset).toBe(last)
          expect(store.next).toBe(last)
          expect(store.tables).toEqual(expected(history.outcomes))
        },
      ),
      { numRuns: 300 },
    )
  })
})

/** Ways in which an event may come back changed while all else, its hash included, stays. */
const changes: { part: string; make(outcome: Outcome, all: Outcome[]): EventEntry | undefined }[] =
  [
    reframed('id', (e) => ({ ...e, id: idOf('ff', 1) })),
    reframed('sender', (e) => ({ ...e, sender: idOf('ff', 1) })),
    reframed('at', (e) => ({ ...e, at: e.at + 1 })),
    reframed('target', (e) => ({ ...e, target: idOf('ff', 1) })),
    reframed('kind', (e) => (e.kind === 'created' ? undefined : { ...e, kind: otherKind(e.kind) })),
    reframed('body', (e, all) => {
      // An erased body can't be compared any more.
      return isErased(e, all) ? undefined : { ...e, body: { text: 'something else' } }
    }),
    { part: 'hash', make: ({ entry }) => entry && { ...entry, hash: Buffer.alloc(16, 7) } },
    { part: 'position', make: ({ entry }) => entry && { ...entry, index: entry.index + 1 } },
  ]

function reframed(part: string, change: (event: Event, all: Outcome[]) => Event | undefined) {
  return {
    part,
    make({ entry }: Outcome, all: Outcome[]): EventEntry | undefined {
      const event = entry && change(decodeEventFrame(entry.frame), all)
      return event && { ...(entry as EventEntry), frame: encodeEventFrame(event) }
    },
  }
}

function otherKind(kind: EventKind): EventKind {
  return kind === 'message' ? 'edit' : 'message'
}

function isErased(event: Event, all: Outcome[]): boolean {
  return all.some(({ entry }) => {
    const other = entry && decodeEventFrame(entry.frame)
    return other?.kind === 'delete' && [event.id, event.target].includes(other.target)
  })
}

function createdEntry(at: Bound): EventEntry {
  const event: Event = {
    type: 'event',
    conversation: idOf('c', 1),
    seq: 1,
    id: idOf('a', 1),
    kind: 'created',
    sender: idOf('b', 1),
    at: 5,
    body: { kind: 'group', users: [idOf('b', 1)] },
  }
  return { ...entryFor(event, at), history: 'all' }
}

function followerOf(played: readonly Outcome[], outcome: Outcome): Outcome | undefined {
  const conversation = conversationOf(outcome)
  if (conversation === undefined) return undefined
  return played.find(
    (o) => played.indexOf(o) > played.indexOf(outcome) && conversationOf(o) === conversation,
  )
}

function conversationOf({ entry }: Outcome): string | undefined {
  return entry === undefined ? undefined : readEventFrame(entry.frame).conversation.join()
}

/** As the consumer does: what stands before the record that stops is projected by itself. */
function consumeUntilStopped(store: Store, log: LogRecord[], maxEvents: number): ProjectionStopped {
  const put = (batch: Batch): void => {
    try {
      projectOnce(store, batch, false)
    } catch (error) {
      if (!(error instanceof ProjectionStopped)) throw error
      const before = batchBefore(batch, error.where.offset)
      if (before !== undefined) put(before)
      throw error
    }
  }
  try {
    for (const batch of decode(log, maxEvents)) put(batch)
  } catch (error) {
    if (error instanceof ProjectionStopped) return error
    throw error
  }
  throw new Error('the partition did not stop')
}
