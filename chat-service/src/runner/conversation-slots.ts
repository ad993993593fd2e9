import type { Command } from '@parley/proto/commands'
import { isBefore, type Position } from '@parley/proto/position'
import { type ConversationState, isStored, trimKept } from '../sequencer/state.ts'

/** A command in its place, with what its outcome needs. */
export interface Item {
  readonly position: Position
  readonly command: Command
  readonly replyTo: string
  /** [R5] From C on: appended, told and fanned out. Below: state only. */
  readonly aloud: boolean
}

/** One conversation in memory, or on its way there: while `queue` holds anything it waits for the database. */
export interface Slot {
  readonly conversation: string
  state: ConversationState | undefined
  queue: Item[]
}

/**
 * The conversations a partition holds in memory, least recently used first. Weight counts what grows: kept ids and
 * members. What is not yet stored is never dropped ([R8], [R13]), so over the bound the partition waits instead.
 */
export class ConversationSlots {
  readonly waiting = new Set<Slot>()
  waitingItems = 0
  #slots = new Map<string, Slot>()
  #overfull = new Set<Slot>()
  #weight = 0
  readonly #maxWeight: number
  readonly #keptIds: number
  /** Ids are dropped some at a time, not one a message. */
  readonly #overfullAt: number

  constructor(bounds: { maxWeight: number; keptIds: number }) {
    this.#maxWeight = bounds.maxWeight
    this.#keptIds = bounds.keptIds
    this.#overfullAt = Math.ceil(bounds.keptIds * 1.125)
  }

  get size(): number {
    return this.#slots.size
  }

  get weight(): number {
    return this.#weight
  }

  /** True when something would be gained by knowing a later S. */
  get wantsCheckpoint(): boolean {
    return this.#overfull.size > 0 || this.#weight > this.#maxWeight
  }

  get full(): boolean {
    return this.#weight > this.#maxWeight * 2
  }

  /** The conversation's slot, now the most recently used. */
  take(conversation: string): Slot {
    const known = this.#slots.get(conversation)
    if (known !== undefined) {
      this.#slots.delete(conversation)
      this.#slots.set(conversation, known)
      return known
    }
    const slot: Slot = { conversation, state: undefined, queue: [] }
    this.#slots.set(conversation, slot)
    this.#weight += slotWeight
    return slot
  }

  /** [R10] Parks a command; all later ones of its conversation come behind it. */
  park(slot: Slot, item: Item): void {
    slot.queue.push(item)
    this.waiting.add(slot)
    this.waitingItems += 1
  }

  unpark(slot: Slot, count: number): void {
    slot.queue.splice(0, count)
    this.waitingItems -= count
    if (slot.queue.length === 0) this.waiting.delete(slot)
  }

  loaded(slot: Slot, state: ConversationState): void {
    slot.state = state
    this.#weight += stateWeight(state)
  }

  /** Told after an event was applied, with what the state weighed before. */
  grown(slot: Slot, before: number): void {
    if (slot.state === undefined) return
    this.#weight += stateWeight(slot.state) - before
    if (slot.state.kept.size > this.#overfullAt) this.#overfull.add(slot)
  }

  /** The lowest position that waits, if any: what `upTo` must not pass ([R2]). */
  lowestWaiting(): Position | undefined {
    let lowest: Position | undefined
    for (const slot of this.waiting) {
      const first = slot.queue[0]?.position
      if (first && (lowest === undefined || isBefore(first, lowest))) lowest = first
    }
    return lowest
  }

  /** Between batches, with S as last read: drops old ids, and whole conversations while over the bound. */
  tidy(stored: Position): void {
    for (const slot of this.#overfull) {
      if (slot.state === undefined || slot.queue.length > 0) continue
      const before = stateWeight(slot.state)
      trimKept(slot.state, stored, this.#keptIds)
      this.#weight += stateWeight(slot.state) - before
      if (slot.state.kept.size <= this.#overfullAt) this.#overfull.delete(slot)
    }
    if (this.#weight <= this.#maxWeight) return
    for (const [conversation, slot] of this.#slots) {
      if (this.#weight <= this.#maxWeight * evictTo) return
      if (slot.state === undefined || slot.queue.length > 0) continue
      if (!isStored(slot.state, stored)) continue
      this.#weight -= stateWeight(slot.state) + slotWeight
      this.#overfull.delete(slot)
      this.#slots.delete(conversation)
    }
  }
}

const slotWeight = 4
/** Evicts a little more than it must, so that the next command does not evict again. */
const evictTo = 0.9

export function stateWeight(state: ConversationState): number {
  return state.kept.size + state.members.size
}
