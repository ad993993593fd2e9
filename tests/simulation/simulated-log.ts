import type {
  Appended,
  Assignment,
  Log,
  LogRecord,
  NewRecord,
  PartitionReader,
} from '@parley/platform/ports/log'
import type { Random } from './random.ts'

/** What the next append does: nothing, then reject; all of it, then reject; reject for ever; or what it should. */
export type AppendFault = 'lost' | 'doubtful' | 'impossible' | undefined

/**
 * A log of one partition a topic, in memory, for simulations of what stands on a log. It keeps the port's promises
 * and adds the faults that the port allows. Consumers are driven by the simulation, record by record.
 */
export class SimulatedLog implements Log {
  readonly epoch: string
  readonly records = new Map<string, LogRecord[]>()
  appendFault: () => AppendFault = () => undefined
  /** Appends wait here while it is set, so that a test decides when they settle. */
  hold: Promise<void> | undefined
  inFlight = 0
  mostInFlight = 0
  committed: number | null = null
  /** The first offset still held, where a test says that earlier ones were trimmed. */
  earliest = 0

  constructor(epoch: string) {
    this.epoch = epoch
  }

  of(topic: string): LogRecord[] {
    const known = this.records.get(topic)
    if (known !== undefined) return known
    const made: LogRecord[] = []
    this.records.set(topic, made)
    return made
  }

  partitions(): number {
    return 1
  }

  async append(topic: string, _partition: number, records: NewRecord[]): Promise<Appended> {
    this.inFlight += 1
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight)
    try {
      await this.hold
      await Promise.resolve()
      const fault = this.appendFault()
      if (fault === 'impossible') throw new RangeError('simulated: a record too large')
      if (fault === 'lost') throw new Error('simulated: the append was lost')
      const list = this.of(topic)
      const offset = list.length
      for (const { headers, value } of records) {
        list.push({ offset: list.length, headers: { ...headers, epoch: this.epoch }, value })
      }
      if (fault === 'doubtful') throw new Error('simulated: appended, but nobody heard')
      return { offset }
    } finally {
      this.inFlight -= 1
    }
  }

  async range(topic: string): Promise<{ earliest: number; next: number }> {
    return { earliest: this.earliest, next: this.of(topic).length }
  }

  join(): never {
    throw new Error('the simulation assigns by itself')
  }

  async trim(): Promise<void> {}
  async close(): Promise<void> {}
}

/** One member's hold of the partition, from assignment to its end; a zombie's goes on after another has begun. */
export class SimulatedAssignment implements Assignment {
  readonly topic = 'parley.commands'
  readonly partition = 0
  readonly committed: number | null
  readonly #ended = new AbortController()
  readonly #log: SimulatedLog
  /** Set when another member has it: commits reject from then on, as the group would have it. */
  fenced = false

  constructor(log: SimulatedLog, committed: number | null = log.committed) {
    this.#log = log
    this.committed = committed
  }

  get signal(): AbortSignal {
    return this.#ended.signal
  }

  async commit(next: number): Promise<void> {
    if (this.fenced || this.signal.aborted) throw new Error('simulated: fenced')
    if (next < (this.#log.committed ?? 0)) throw new RangeError('a commit backwards')
    this.#log.committed = next
  }

  end(): void {
    this.#ended.abort()
  }
}

/** Feeds one reader from the log, a few records at a time, until the log's end as it is then. */
export class Feed {
  next: number
  readonly #reader: PartitionReader
  readonly #log: SimulatedLog
  #reading = false

  constructor(reader: PartitionReader, log: SimulatedLog) {
    this.#reader = reader
    this.#log = log
    this.next = reader.start
  }

  /** Nothing while the reader still has the batch before: that is how it pauses its partition. */
  async some(random: Random): Promise<void> {
    const records = this.#log.of('parley.commands')
    if (this.#reading) return
    const until = Math.min(records.length, this.next + 1 + random.below(4))
    await this.#read(records.slice(this.next, until))
  }

  async all(): Promise<void> {
    const records = this.#log.of('parley.commands')
    while (this.next < records.length) await this.#read(records.slice(this.next, this.next + 50))
  }

  async #read(batch: LogRecord[]): Promise<void> {
    if (batch.length === 0) return
    this.#reading = true
    this.next += batch.length
    try {
      await this.#reader.read(batch)
    } finally {
      this.#reading = false
    }
  }
}
