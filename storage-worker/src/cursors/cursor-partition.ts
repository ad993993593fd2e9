import { setTimeout as delay } from 'node:timers/promises'
import type { Database } from '@parley/platform/ports/database'
import type { Assignment, Log, LogRecord } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import { type Cursor, decodeCursorRecord } from '@parley/proto/cursor-records'
import { recordSchema } from '@parley/proto/record-headers'
import { CheckpointWentBack, type Follower } from '../follow-topic.ts'
import { createPersist, type Persist } from '../persist.ts'
import type { Reported } from '../reports.ts'
import { AssignmentEnded } from '../retry.ts'
import type { StorageWorkerSettings } from '../settings.ts'
import { checkStart } from '../start-check.ts'
import type { StorageMetrics } from '../storage-metrics.ts'
import type { Trim } from '../trimming.ts'
import { moveCursorCheckpoint, readCursorCheckpoint } from './apply.ts'
import { passOnce } from './passes.ts'
import { WaitingCursors } from './waiting-cursors.ts'

export interface CursorParts {
  log: Log
  db: Database
  /** The number of the log's epoch, as `claimEpoch` gave it. */
  epoch: number
  logger: Logger
  metrics: StorageMetrics
}

export interface OpenCursorsOptions {
  assignment: Assignment
  settings: StorageWorkerSettings
  /** Aborted when the process stops. */
  stopping: AbortSignal
  /** Called every few seconds. */
  trim: Trim<Reported>
}

/**
 * Reads one partition of the cursors log into the read positions of members, from where the database says on. A cursor
 * ahead of the projection waits, and holds up no other; its record counts as applied when it is settled. Applying again
 * changes nothing, so what was not stored as applied in time is read once more.
 */
export async function openCursorPartition(
  parts: CursorParts,
  { assignment, settings, stopping, trim }: OpenCursorsOptions,
): Promise<Follower> {
  const { log, db, epoch, logger, metrics } = parts
  const { topic, partition } = assignment
  const signal = AbortSignal.any([assignment.signal, stopping])
  const name = `${topic}/${partition}`
  const persist = createPersist({ name, signal, settings, logger, metrics })

  const start = await persist(() =>
    db.snapshot((sql) => readCursorCheckpoint(sql, { partition, epoch })),
  )
  checkStart(name, start, await log.range(topic, partition))
  const waiting = new WaitingCursors(start)
  let storedNext = start
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  let broken: Error | undefined

  /** One at a time: reading and the timer both ask for passes. */
  function exclusive(work: () => Promise<void>): Promise<void> {
    clearTimeout(timer)
    running = running.catch(() => {}).then(work)
    return running
  }

  async function pass(): Promise<void> {
    await passOnce({ ...parts, persist, waiting, waitMs: settings.cursorWaitMs })
    metrics.cursorsWaiting.set({ partition }, waiting.size)
    schedule()
  }

  function schedule(): void {
    const nextMs = waiting.nextTryMs()
    if (nextMs === undefined || signal.aborted) return
    clearTimeout(timer)
    timer = setTimeout(
      () => {
        exclusive(pass).catch((error: unknown) => {
          if (error instanceof AssignmentEnded) return
          broken = error as Error
          logger.error({ err: error, name }, 'waiting cursors can not be applied')
        })
      },
      Math.max(1, nextMs - performance.now()),
    ).unref()
  }

  /** Takes in what can be read, up to a record that can't. */
  function takeIn(records: readonly LogRecord[]): Error | undefined {
    for (const record of records) {
      try {
        if (record.offset !== waiting.next) throw new Error(`the next must be ${waiting.next}`)
        waiting.add(cursorsOf(record, log.epoch), performance.now())
      } catch (cause) {
        const { message } = cause as Error
        return new Error(`${name}: the record at ${record.offset}: ${message}`, { cause })
      }
    }
    return undefined
  }

  /** Positions are in the database already: a checkpoint that comes late costs reading again, and nothing else. */
  async function store(run: Persist): Promise<void> {
    const next = waiting.settledBefore
    if (next === storedNext) return
    await run(() =>
      db.transaction(async (sql) => {
        const there = await readCursorCheckpoint(sql, { partition, epoch })
        if (there < storedNext) {
          throw new CheckpointWentBack(
            `${name}: the checkpoint was at ${storedNext} and is at ${there}`,
          )
        }
        await moveCursorCheckpoint(sql, { partition, epoch, next })
      }),
    )
    storedNext = next
  }

  const follower: Follower = {
    partition,
    assignment,
    start,
    get next() {
      return storedNext
    },
    async read(records) {
      try {
        let unreadable: Error | undefined
        await exclusive(async () => {
          unreadable = takeIn(records)
          await pass()
        })
        if (unreadable !== undefined) throw unreadable
        while (waiting.size > settings.maxWaitingCursors && broken === undefined) {
          if (signal.aborted) return
          const tryInMs = (waiting.nextTryMs() ?? 0) - performance.now()
          await delay(Math.max(1, tryInMs), undefined, { signal }).catch(() => {})
          await exclusive(pass)
        }
        if (broken !== undefined) throw broken
      } catch (error) {
        // Whoever gets the partition next begins where the database says.
        if (!(error instanceof AssignmentEnded)) throw error
      }
    },
    async revoked() {
      clearTimeout(timer)
      await running.catch(() => {})
      await store((work) => work()).catch((error: unknown) => {
        logger.debug({ err: error, name }, 'the last cursors will be read again')
      })
      metrics.cursorsWaiting.remove({ partition })
    },
    async tend() {
      await store(persist)
      await trim(follower)
    },
  }
  return follower
}

function cursorsOf({ headers, value }: LogRecord, epoch: string): Cursor[] {
  if (headers.schema !== recordSchema) {
    throw new Error(`it has schema ${headers.schema}, this release reads ${recordSchema}`)
  }
  if (headers.epoch !== epoch) throw new Error(`it is of the log ${headers.epoch}`)
  return decodeCursorRecord(value)
}
