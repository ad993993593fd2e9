import { type Command, contentOf } from '@parley/proto/commands'
import { type Failure, failure } from '@parley/proto/errors'
import { idTime } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import type { CommandDraft, OnReply } from './command-writer.ts'

/** A command that has been taken in and not been answered. */
export interface Pending {
  readonly command: Command
  readonly partition: number
  /** When it was taken in, by a clock that never steps: the one that waiting is measured by. */
  readonly sinceMs: number
  /** At least what the command takes in a record. */
  readonly bytes: number
  readonly onReply: OnReply
  state: 'queued' | 'taken' | 'answered'
}

export interface BatchBounds {
  partitions: number
  partitionOf: (conversation: string) => number
  rules: number
  maxWaiting: number
  maxWaitingBytes: number
  maxRecordBytes: number
  /** Where the numbers of commands begin; a process that starts anew must not take replies meant for the one before. */
  firstCorrelation: number
}

interface Queue {
  waiting: Pending[]
  inFlight: boolean
}

const overloadedRetryMs = 1_000

/**
 * The pure part of the writer: which command leaves in which record, who is answered, what is refused. One record of
 * a partition is in flight at a time, so commands of one conversation reach the log in the order they came ([G5]).
 */
export class CommandBatches {
  waitingBytes = 0
  readonly #bounds: BatchBounds
  readonly #queues: Queue[]
  readonly #unanswered = new Map<number, Pending>()
  #nextCorrelation: number

  constructor(bounds: BatchBounds) {
    this.#bounds = bounds
    this.#nextCorrelation = bounds.firstCorrelation >>> 0
    this.#queues = Array.from({ length: bounds.partitions }, () => ({
      waiting: [],
      inFlight: false,
    }))
  }

  get waiting(): number {
    return this.#unanswered.size
  }

  /**
   * Stamps a command and queues it, or refuses it with nothing kept. `at` is milliseconds since 1970 and may step;
   * `sinceMs` must not fall from one offer to the next.
   */
  offer(
    draft: CommandDraft,
    { at, sinceMs }: { at: number; sinceMs: number },
    onReply: OnReply,
  ): { ok: true; partition: number } | Failure {
    if (idTime(draft.id) > at + limits.idAheadMs) {
      return failure('invalid', `id: its time lies more than ${limits.idAheadMs} ms ahead`)
    }
    const { maxWaiting, maxWaitingBytes } = this.#bounds
    const command: Command = { ...draft, at, rules: this.#bounds.rules, correlation: 0 }
    const bytes = recordBytes(command)
    if (this.#unanswered.size >= maxWaiting || this.waitingBytes + bytes > maxWaitingBytes) {
      return failure('overloaded', 'too many commands await the log', overloadedRetryMs)
    }
    command.correlation = this.#freeCorrelation()
    const partition = this.#bounds.partitionOf(draft.conversation)
    const pending: Pending = { command, partition, sinceMs, bytes, onReply, state: 'queued' }
    this.#unanswered.set(command.correlation, pending)
    this.waitingBytes += bytes
    this.#queue(partition).waiting.push(pending)
    return { ok: true, partition }
  }

  /** What the next record of a partition holds; empty when one is in flight or nothing waits. */
  take(partition: number): Pending[] {
    const queue = this.#queue(partition)
    if (queue.inFlight || queue.waiting.length === 0) return []
    let bytes = 0
    let count = 0
    for (const { bytes: one } of queue.waiting) {
      if (count > 0 && bytes + one > this.#bounds.maxRecordBytes) break
      bytes += one
      count += 1
    }
    const batch = queue.waiting.slice(0, count)
    queue.waiting = queue.waiting.slice(count)
    queue.inFlight = true
    for (const pending of batch) pending.state = 'taken'
    return batch
  }

  /** The record in flight is in the log. */
  appended(partition: number): void {
    this.#queue(partition).inFlight = false
  }

  /**
   * The record in flight may be in the log or not. Returns whom to answer `unavailable`: everyone in it, and whoever
   * waits behind with the same sender and conversation, who would overtake otherwise ([G5]).
   */
  rejected(partition: number, batch: readonly Pending[]): Pending[] {
    this.#queue(partition).inFlight = false
    const unanswered = batch.filter((pending) => pending.state !== 'answered')
    return this.#answerAll([...unanswered, ...this.#unqueueBehind(partition, batch)])
  }

  /** The one whom a reply with this number is for; null when it was answered before or the reply is another's. */
  answer(correlation: number, id: string | undefined): Pending | null {
    const pending = this.#unanswered.get(correlation)
    if (pending === undefined || pending.command.id !== id) return null
    this.#answerAll([pending])
    return pending
  }

  /** Everyone who was taken in at or before `sinceMs`, and whoever would overtake those that never left. */
  expire(sinceMs: number): Pending[] {
    const late: Pending[] = []
    for (const pending of this.#unanswered.values()) {
      if (pending.sinceMs > sinceMs) break
      late.push(pending)
    }
    const neverLeft = late.filter((pending) => pending.state === 'queued')
    this.#answerAll(late)
    for (const partition of new Set(neverLeft.map((pending) => pending.partition))) {
      const queue = this.#queue(partition)
      queue.waiting = queue.waiting.filter((pending) => pending.state !== 'answered')
      late.push(...this.#answerAll(this.#unqueueBehind(partition, neverLeft)))
    }
    return late
  }

  #answerAll(answered: Pending[]): Pending[] {
    for (const pending of answered) {
      if (this.#unanswered.delete(pending.command.correlation)) this.waitingBytes -= pending.bytes
      pending.state = 'answered'
    }
    return answered
  }

  /** Takes out of a partition's queue whoever has the sender and conversation of one of `before`. */
  #unqueueBehind(partition: number, before: readonly Pending[]): Pending[] {
    const queue = this.#queue(partition)
    if (queue.waiting.length === 0) return []
    const keys = new Set(before.map(keyOf))
    const behind = queue.waiting.filter((pending) => keys.has(keyOf(pending)))
    if (behind.length > 0) {
      queue.waiting = queue.waiting.filter((pending) => !keys.has(keyOf(pending)))
    }
    return behind
  }

  /** A uint32 that no unanswered command has. */
  #freeCorrelation(): number {
    while (this.#unanswered.has(this.#nextCorrelation)) {
      this.#nextCorrelation = (this.#nextCorrelation + 1) >>> 0
    }
    const free = this.#nextCorrelation
    this.#nextCorrelation = (free + 1) >>> 0
    return free
  }

  #queue(partition: number): Queue {
    const queue = this.#queues[partition]
    if (queue === undefined) throw new RangeError(`no partition ${partition}`)
    return queue
  }
}

function keyOf({ command }: Pending): string {
  return command.sender + command.conversation
}

/** Type code, three ids, three numbers and what stands around them. */
const baseBytes = 100

/** An upper bound of what a command takes in its record. */
function recordBytes(command: Command): number {
  return baseBytes + packedBytes(contentOf(command))
}

function packedBytes(value: unknown): number {
  if (typeof value === 'string') return 5 + Buffer.byteLength(value)
  if (typeof value !== 'object' || value === null) return 9
  let bytes = 5
  if (Array.isArray(value)) for (const one of value) bytes += packedBytes(one)
  else for (const [key, one] of Object.entries(value)) bytes += packedBytes(key) + packedBytes(one)
  return bytes
}
