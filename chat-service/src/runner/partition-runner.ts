import type { Assignment, LogRecord, PartitionReader } from '@parley/platform/ports/log'
import { codecFor } from '@parley/proto/codec'
import { decodeCommandRecord } from '@parley/proto/commands'
import { encodeEventFrame } from '@parley/proto/event-frame'
import { isBefore, type Position } from '@parley/proto/position'
import { recordSchema } from '@parley/proto/record-headers'
import { apply } from '../sequencer/apply.ts'
import { decide, idsOf } from '../sequencer/decide.ts'
import type { Accepted, Lookup, Lookups, Outcome } from '../sequencer/outcome.ts'
import { type ConversationState, needsLookup } from '../sequencer/state.ts'
import { answerTo } from './answer.ts'
import { ConversationSlots, type Item, type Slot, stateWeight } from './conversation-slots.ts'
import { EventAppender } from './event-appender.ts'
import type { RunnerBounds, RunnerParts } from './runner-parts.ts'
import { StateLoader } from './state-loader.ts'
import { type Checkpoint, lookupKey } from './state-source.ts'

const frames = codecFor('parley.v1.msgpack')

/** One partition's shell around the pure sequencer: commands in; replies, fan-out and events out. */
export class PartitionRunner implements PartitionReader {
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
      from.bounds,
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
    try {
      for (const record of records) this.#take(record)
    } finally {
      // What was decided before a record that can't be is told and appended all the same.
      this.#flush()
    }
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
    if (ready && missing(slot.state as ConversationState, item) === undefined) {
      this.#decide(slot, item)
      return
    }
    this.#slots.park(slot, item)
    this.#loader.wake()
  }

  /** What waited for the database goes on, in its order, as far as what it needs has come. */
  #resume(slots: Slot[], lookups: Map<string, Lookup>): void {
    try {
      for (const slot of slots) this.#resumeSlot(slot, lookups)
    } finally {
      this.#flush()
      this.#wakeReader?.()
    }
  }

  #resumeSlot(slot: Slot, lookups: Map<string, Lookup>): void {
    const found = (id: string) => lookups.get(lookupKey(slot.conversation, id))
    let decided = 0
    for (const item of slot.queue) {
      if (missing(slot.state as ConversationState, item, found) !== undefined) break
      this.#decide(slot, item, found)
      decided += 1
    }
    this.#slots.unpark(slot, decided)
  }

  #decide(slot: Slot, item: Item, found?: Lookups): void {
    const state = slot.state as ConversationState
    const outcome = decide(state, item.command, item.position, found)
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

/** An id that must be looked up before the command can be decided, and was not. */
function missing(state: ConversationState, item: Item, found?: Lookups): string | undefined {
  return idsOf(item.command).find((id) => needsLookup(state, id) && found?.(id) === undefined)
}
