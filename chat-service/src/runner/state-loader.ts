import { isTransient } from '@parley/platform/postgres/transient'
import type { Logger } from '@parley/platform/process/logs'
import { isBefore } from '@parley/proto/position'
import { idsOf } from '../sequencer/decide.ts'
import type { Lookup } from '../sequencer/outcome.ts'
import { emptyConversation } from '../sequencer/state.ts'
import { type Backoff, pause } from './backoff.ts'
import type { ConversationSlots, Slot } from './conversation-slots.ts'
import type { Checkpoint, Loaded, LoadRequest, StateSource } from './state-source.ts'

export interface StateLoaderParts {
  source: StateSource
  logger: Logger
  partition: number
  signal: AbortSignal
  slots: ConversationSlots
  backoff: Backoff
  checkpointEveryMs: number
  /** These slots have their states, and these ids were looked up, all from one fresh snapshot. */
  loaded(slots: Slot[], lookups: Map<string, Lookup>): void
  /** S moved. */
  stored(): void
  failed(error: Error): void
}

/** [R6] The database answered from before what was already seen of it. */
class StaleSnapshot extends Error {
  override readonly name = 'StaleSnapshot'
  constructor() {
    super('the database answered from before what was already seen of it')
  }
}

/** Conversations and ids that one snapshot loads at most. */
const maxSlots = 256
const maxIds = 4_096

/**
 * Brings waiting conversations into memory, many in one snapshot, and keeps S fresh while something waits for it.
 * While the database is away it tries again and again; meanwhile whatever needs it stays parked ([R10]).
 */
export class StateLoader {
  readonly #parts: StateLoaderParts
  #freshest: Checkpoint
  #loading: Promise<void> | undefined
  #refreshing: Promise<void> | undefined
  #active = false

  constructor(parts: StateLoaderParts, checkpoint: Checkpoint) {
    this.#parts = parts
    this.#freshest = checkpoint
  }

  wake(): void {
    if (this.#active || this.#parts.signal.aborted) return
    this.#active = true
    this.#loading = this.#run().catch((error: unknown) => this.#fail(error))
  }

  /** What no trying again can mend: the partition must stop, and say so. */
  #fail(error: unknown): void {
    if (this.#parts.signal.aborted) return
    this.#parts.failed(error instanceof Error ? error : new Error(String(error)))
  }

  async settled(): Promise<void> {
    await this.#loading
    await this.#refreshing
  }

  /** Between batches: lets go of what the database has; reads S again when that would help. */
  tidy(): void {
    const { slots, signal } = this.#parts
    if (!slots.wantsCheckpoint || signal.aborted) return
    slots.tidy(this.#freshest.upTo)
    if (slots.wantsCheckpoint && this.#refreshing === undefined) {
      this.#refreshing = this.#refresh()
        .catch((error: unknown) => this.#fail(error))
        .finally(() => {
          this.#refreshing = undefined
        })
    }
  }

  async #refresh(): Promise<void> {
    const { source, partition, signal, slots, checkpointEveryMs, logger } = this.#parts
    const every = { firstMs: checkpointEveryMs, maxMs: checkpointEveryMs }
    while (slots.wantsCheckpoint && !signal.aborted) {
      await pause(every, 0, signal)
      try {
        this.#isFresh(await source.checkpoint(partition))
      } catch (error) {
        if (!isTransient(error)) throw error
        logger.warn({ err: error, partition }, 'the checkpoint could not be read')
      }
      if (signal.aborted) return
      slots.tidy(this.#freshest.upTo)
      this.#parts.stored()
    }
  }

  async #run(): Promise<void> {
    const { slots, signal, logger, backoff, partition } = this.#parts
    let attempt = 0
    let slotsAtOnce = maxSlots
    // Commands that come in while a snapshot is read wait for the next one.
    await Promise.resolve()
    while (slots.waiting.size > 0 && !signal.aborted) {
      const { round, requests } = this.#gather(slotsAtOnce)
      try {
        const loaded = await this.#parts.source.load(partition, requests)
        if (signal.aborted) break
        if (!this.#isFresh(loaded.checkpoint)) throw new StaleSnapshot()
        attempt = 0
        slotsAtOnce = Math.min(maxSlots, slotsAtOnce * 2)
        this.#take(round, loaded)
      } catch (error) {
        if (signal.aborted) break
        if (!(error instanceof StaleSnapshot) && !isTransient(error)) throw error
        // Perhaps it was too much at once: a smaller round asks for less.
        slotsAtOnce = Math.max(1, Math.floor(slotsAtOnce / 2))
        const waiting = slots.waitingItems
        logger.warn({ err: error, partition, attempt, waiting }, 'loading failed; trying again')
        await pause(backoff, attempt, signal)
        attempt += 1
      }
    }
    this.#active = false
  }

  #take(round: Slot[], loaded: Loaded): void {
    const ready = round.filter((slot) => !loaded.left.has(slot.conversation))
    for (const slot of ready) {
      if (slot.state !== undefined) continue
      const state = loaded.states.get(slot.conversation)
      this.#parts.slots.loaded(slot, state ?? emptyConversation(slot.conversation))
    }
    this.#parts.loaded(ready, loaded.lookups)
  }

  #gather(slotsAtOnce: number): { round: Slot[]; requests: LoadRequest[] } {
    const round: Slot[] = []
    const requests: LoadRequest[] = []
    let ids = 0
    for (const slot of this.#parts.slots.waiting) {
      if (round.length === slotsAtOnce || ids >= maxIds) break
      const wanted = new Set<string>()
      for (const item of slot.queue) {
        if (ids + wanted.size >= maxIds) break
        for (const id of idsOf(item.command)) wanted.add(id)
      }
      ids += wanted.size
      round.push(slot)
      requests.push({
        conversation: slot.conversation,
        state: slot.state === undefined,
        ids: [...wanted],
      })
    }
    return { round, requests }
  }

  /** [R6] False for a snapshot older than one seen before; else it is the freshest now. */
  #isFresh(checkpoint: Checkpoint): boolean {
    if (checkpoint.nextEvent < this.#freshest.nextEvent) return false
    const upTo = isBefore(checkpoint.upTo, this.#freshest.upTo)
      ? this.#freshest.upTo
      : checkpoint.upTo
    this.#freshest = { nextEvent: checkpoint.nextEvent, upTo }
    return true
  }
}
