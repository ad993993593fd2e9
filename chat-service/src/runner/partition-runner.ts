import type { Assignment, Log, LogRecord, PartitionReader } from '@parley/platform/ports/log'
import { codecFor } from '@parley/proto/codec'
import { decodeCommandRecord } from '@parley/proto/commands'
import { errors } from '@parley/proto/errors'
import { encodeEventFrame } from '@parley/proto/event-frame'
import type { Ack, ErrorFrame } from '@parley/proto/frames'
import { isBefore, type Position } from '@parley/proto/position'
import { recordSchema } from '@parley/proto/record-headers'
import type { Logger } from 'pino'
import { apply } from '../sequencer/apply.ts'
import { decide } from '../sequencer/decide.ts'
import type { Accepted, Lookup, Outcome } from '../sequencer/outcome.ts'
import { type ConversationState, needsLookup } from '../sequencer/state.ts'
import { type Backoff, pause } from './backoff.ts'
import { ConversationSlots, type Item, type Slot, stateWeight } from './conversation-slots.ts'
import { EventAppender } from './event-appender.ts'
import type { FanOut } from './fan-out.ts'
import type { ReplySender } from './reply-sender.ts'
import type { RunnerMetrics } from './runner-metrics.ts'
import { StateLoader } from './state-loader.ts'
import type { Checkpoint, StateSource } from './state-source.ts'

export interface RunnerParts {
  log: Log
  source: StateSource
  replies: ReplySender
  fanOut: FanOut
  logger: Logger
  metrics: RunnerMetrics
  /** [R15] The number of the log's present identity. */
  epoch: number
  now(): number
  /** Tells that the partition cannot go on; it must not be read any more. */
  failed(error: Error): void
}

export interface RunnerBounds {
  /** [R10] Commands that wait for the database; beyond, the partition pauses. */
  maxWaitingItems: number
  /** Kept ids and members in memory, of one partition; at twice that the partition pauses. */
  maxWeight: number
  /** [R8] Last accepted ids kept of a conversation. */
  keptIds: number
  /** Bytes of events not yet appended; beyond, the partition pauses. */
  maxUnappendedBytes: number
  maxRecordBytes: number
  /** How often S is read again while something waits for it. */
  checkpointEveryMs: number
  backoff: Backoff
}

const frames = codecFor('parley.v1.msgpack')

/**
 * [R5] Takes over a partition: C as the group has it, then S as the database has it; nothing else survives from whoever
 * had it before. Rejects when the database can't be asked before the assignment ends, or when log and checkpoint
 * contradict each other.
 */
export async function startPartition(
  assignment: Assignment,
  parts: RunnerParts,
  bounds: RunnerBounds,
): Promise<PartitionReader> {
  const { partition, topic, signal } = assignment
  const committed = assignment.committed ?? 0
  const checkpoint = await readCheckpoint(partition, parts, { bounds, signal })
  const { earliest, next } = await parts.log.range(topic, partition)
  const start = checkpoint.upTo.offset
  for (const [name, offset] of [
    ['the checkpoint', start],
    ['the committed offset', committed],
  ] as const) {
    if (offset > next) {
      throw new Error(
        `${topic}/${partition} ends at ${next} but ${name} is at ${offset}: records are missing`,
      )
    }
  }
  if (start < earliest || (assignment.committed !== null && committed < earliest)) {
    throw new Error(
      `${topic}/${partition} begins at ${earliest}, past what is still needed (checkpoint ${start}, committed ${committed})`,
    )
  }
  return new PartitionRunner(assignment, parts, { bounds, committed, checkpoint })
}

async function readCheckpoint(
  partition: number,
  parts: RunnerParts,
  { bounds, signal }: { bounds: RunnerBounds; signal: AbortSignal },
): Promise<Checkpoint> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await parts.source.checkpoint(partition)
    } catch (error) {
      if (signal.aborted) throw error
      parts.logger.warn({ err: error, partition, attempt }, 'waiting for the checkpoint')
      await pause(bounds.backoff, attempt, signal)
      if (signal.aborted) throw error
    }
  }
}

/** One partition's shell around the pure sequencer: commands in; replies, fan-out and events out. */
class PartitionRunner implements PartitionReader {
  readonly start: number
  readonly #parts: RunnerParts
  readonly #bounds: RunnerBounds
  readonly #committed: number
  readonly #slots: ConversationSlots
  readonly #appender: EventAppender
  readonly #loader: StateLoader
  readonly #skipBefore: Position
  /** The first position that has not come in yet. */
  #received: Position
  #wakeReader: (() => void) | undefined
  #failure: Error | undefined
  readonly #broken = new AbortController()
  /** The assignment ended, or the partition broke: either way nothing more leaves it. */
  readonly #ended: AbortSignal

  constructor(
    assignment: Assignment,
    parts: RunnerParts,
    from: { bounds: RunnerBounds; committed: number; checkpoint: Checkpoint },
  ) {
    this.#parts = parts
    this.#bounds = from.bounds
    this.#committed = from.committed
    this.start = from.checkpoint.upTo.offset
    this.#skipBefore = from.checkpoint.upTo
    this.#received = from.checkpoint.upTo
    this.#slots = new ConversationSlots(from.bounds)
    this.#ended = AbortSignal.any([assignment.signal, this.#broken.signal])
    const shared = {
      logger: parts.logger,
      partition: assignment.partition,
      signal: this.#ended,
      failed: (error: Error) => this.#break(error),
    }
    this.#appender = new EventAppender(
      {
        ...shared,
        log: parts.log,
        commit: (next) => assignment.commit(next),
        frontier: () => this.#slots.lowestWaiting() ?? this.#received,
        appended: () => this.#wakeReader?.(),
      },
      { maxRecordBytes: from.bounds.maxRecordBytes, backoff: from.bounds.backoff },
      { epoch: parts.epoch, offset: Math.max(this.#committed, this.start), index: 0 },
    )
    this.#loader = new StateLoader(
      {
        ...shared,
        source: parts.source,
        slots: this.#slots,
        backoff: from.bounds.backoff,
        checkpointEveryMs: from.bounds.checkpointEveryMs,
        loaded: (slots, lookups) => this.#guarded(() => this.#resume(slots, lookups)),
        stored: () => this.#wakeReader?.(),
      },
      from.checkpoint,
    )
    this.#ended.addEventListener('abort', () => this.#wakeReader?.(), { once: true })
  }

  async read(records: LogRecord[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    for (const record of records) this.#take(record)
    this.#flush()
    this.#loader.tidy()
    while (this.#full() && !this.#ended.aborted) {
      this.#parts.metrics.pauses.inc()
      await new Promise<void>((resolve) => {
        this.#wakeReader = resolve
      })
      this.#wakeReader = undefined
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  async revoked(): Promise<void> {
    this.#wakeReader?.()
    await this.#appender.settled()
    await this.#loader.settled()
  }

  #full(): boolean {
    return (
      this.#slots.waitingItems > this.#bounds.maxWaitingItems ||
      this.#appender.waitingBytes > this.#bounds.maxUnappendedBytes ||
      this.#slots.full
    )
  }

  /** [R10] A record that can't be read stops the partition: none is ever skipped. */
  #take(record: LogRecord): void {
    const { offset, headers } = record
    if (offset !== this.#received.offset) {
      throw new Error(`offset ${offset} came where ${this.#received.offset} was due`)
    }
    if (headers.schema !== recordSchema) {
      throw new Error(`the record at ${offset} has schema ${headers.schema}, not ${recordSchema}`)
    }
    if (headers.epoch !== this.#parts.log.epoch) {
      throw new Error(`the record at ${offset} is of another log: epoch ${headers.epoch}`)
    }
    const { replyTo, commands } = decodeCommandRecord(record.value)
    const aloud = offset >= this.#committed
    commands.forEach((command, index) => {
      const position = { epoch: this.#parts.epoch, offset, index }
      if (isBefore(position, this.#skipBefore)) return
      this.#accept({ position, command, replyTo, aloud })
      this.#received = { epoch: this.#parts.epoch, offset, index: index + 1 }
    })
    this.#received = { epoch: this.#parts.epoch, offset: offset + 1, index: 0 }
    this.#parts.metrics.commands.inc(commands.length)
  }

  #accept(item: Item): void {
    const slot = this.#slots.take(item.command.conversation)
    const ready = slot.state !== undefined && slot.queue.length === 0
    if (ready && !needsLookup(slot.state as ConversationState, item.command.id)) {
      this.#decide(slot, item, undefined)
      return
    }
    this.#slots.park(slot, item)
    this.#loader.wake()
  }

  /** What waited for the database goes on, in its order, as far as what it needs has come. */
  #resume(slots: Slot[], lookups: Map<string, Lookup>): void {
    for (const slot of slots) {
      let decided = 0
      for (const item of slot.queue) {
        const state = slot.state as ConversationState
        const lookup = lookups.get(this.#loader.key(item))
        if (lookup === undefined && needsLookup(state, item.command.id)) break
        this.#decide(slot, item, lookup)
        decided += 1
      }
      this.#slots.unpark(slot, decided)
    }
    this.#flush()
    this.#wakeReader?.()
  }

  #decide(slot: Slot, item: Item, lookup: Lookup | undefined): void {
    const state = slot.state as ConversationState
    const outcome = decide(state, item.command, item.position, lookup)
    if (outcome.type === 'accepted') {
      const before = stateWeight(state)
      apply(state, outcome, item.position)
      this.#slots.grown(slot, before)
    }
    if (item.aloud) this.#tell(state, item, outcome)
  }

  #tell(state: ConversationState, item: Item, outcome: Outcome): void {
    this.#parts.metrics.outcomes.inc({ outcome: outcome.type })
    const { command, replyTo } = item
    if (outcome.type === 'accepted') this.#publish(state, item, outcome)
    const reply = answerTo(command, outcome)
    this.#parts.replies.add(replyTo, command.correlation, frames.encodeServerFrame(reply))
  }

  #publish(state: ConversationState, item: Item, accepted: Accepted): void {
    const { event, hash, history } = accepted
    const frame = encodeEventFrame(event)
    const { offset, index } = item.position
    const entry = { offset, index, hash: Buffer.from(hash, 'latin1'), frame }
    this.#appender.add(item.position, history === undefined ? entry : { ...entry, history })
    this.#parts.fanOut.add(event, frame, (user) => state.members.get(user)?.from ?? event.seq)
  }

  #flush(): void {
    this.#parts.replies.flush()
    this.#parts.fanOut.flush(this.#parts.now())
    this.#appender.flush()
  }

  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#break(error instanceof Error ? error : new Error(String(error)))
    }
  }

  /** A broken invariant outside `read`: nothing of this partition goes on, and the next `read` says so. */
  #break(error: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#broken.abort()
    this.#parts.failed(error)
  }
}

/** The frame that answers a command. `passed` is unknown to us and retryable to its client ([R7]). */
function answerTo(
  command: { id: string; conversation: string },
  outcome: Outcome,
): Ack | ErrorFrame {
  const { id, conversation } = command
  switch (outcome.type) {
    case 'accepted':
      return { type: 'ack', id, conversation, seq: outcome.event.seq, at: outcome.event.at }
    case 'duplicate': {
      const ack: Ack = { type: 'ack', id, conversation, seq: outcome.seq, at: outcome.at }
      return outcome.again ? ack : { ...ack, duplicate: true }
    }
    case 'refused': {
      const { code, message } = outcome
      return { type: 'error', code, message, retryable: errors[code].retryable, id }
    }
    case 'passed':
      return { type: 'error', code: 'unavailable', message: 'ask again', retryable: true, id }
  }
}
