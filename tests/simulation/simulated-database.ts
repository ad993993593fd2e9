import {
  type Checkpoint,
  type Loaded,
  type LoadRequest,
  lookupKey,
  type StateSource,
} from '@parley/chat-service/runner/state-source'
import { apply } from '@parley/chat-service/sequencer/apply'
import type { Accepted, Lookup } from '@parley/chat-service/sequencer/outcome'
import {
  type ConversationState,
  emptyConversation,
  keep,
  loadedFloor,
} from '@parley/chat-service/sequencer/state'
import { DatabaseUnavailable } from '@parley/platform/ports/database'
import { decodeEventFrame } from '@parley/proto/event-frame'
import { decodeEventRecord } from '@parley/proto/event-records'
import { isBefore, startOf } from '@parley/proto/position'
import type { SimulatedLog } from './simulated-log.ts'

/** A moment of the database: what a snapshot would read. */
interface Moment {
  checkpoint: Checkpoint
  conversations: Map<string, ConversationState>
}

/**
 * What storage-worker and PostgreSQL come to, by [R4], for simulations of the runner: a prefix of the events log,
 * projected. `keep` stands for the number of last ids that a load brings.
 */
export class SimulatedDatabase implements StateSource {
  readonly epoch: number
  away = false
  /** When set, the next snapshots are of that earlier moment, as from a replica that lags. */
  stale: Moment | undefined
  loads = 0
  /** Conversations that a load leaves for the next one, as too much at once. */
  leave: (requests: LoadRequest[]) => string[] = () => []
  /** What a load rejects with, where a test says so. */
  broken: Error | undefined
  /** Loads wait here while it is set. */
  hold: Promise<void> | undefined
  readonly #log: SimulatedLog
  readonly #keep: number
  readonly #conversations = new Map<string, ConversationState>()
  #checkpoint: Checkpoint

  constructor(log: SimulatedLog, keep: number, epoch = 1) {
    this.#log = log
    this.#keep = keep
    this.epoch = epoch
    this.#checkpoint = { nextEvent: 0, upTo: startOf(epoch) }
  }

  /** [R4] Takes the next record of events. False at the log's end. */
  project(): boolean {
    const record = this.#log.of('parley.events')[this.#checkpoint.nextEvent]
    if (record === undefined) return false
    const { upTo, events } = decodeEventRecord(record.value)
    for (const entry of events) {
      const event = decodeEventFrame(entry.frame)
      const state = this.#of(event.conversation)
      const hash = Buffer.from(entry.hash).toString('latin1')
      if (event.seq <= state.head) {
        const stored = state.kept.get(event.id)
        if (stored?.seq !== event.seq || stored.hash !== hash || stored.at !== event.at) {
          throw new Error(`another event at ${event.conversation}/${event.seq}`)
        }
        continue
      }
      const position = { epoch: this.epoch, offset: entry.offset, index: entry.index }
      const accepted: Accepted = { type: 'accepted', event, hash }
      if (entry.history !== undefined) accepted.history = entry.history
      apply(state, accepted, position)
    }
    const s = { epoch: this.epoch, ...upTo }
    this.#checkpoint = {
      nextEvent: this.#checkpoint.nextEvent + 1,
      upTo: isBefore(s, this.#checkpoint.upTo) ? this.#checkpoint.upTo : s,
    }
    return true
  }

  /** As it stands now: for a later stale read, or for judging the end. */
  moment(): Moment {
    const conversations = new Map([...this.#conversations].map(([id, s]) => [id, copyOf(s)]))
    return { checkpoint: this.#checkpoint, conversations }
  }

  async checkpoint(): Promise<Checkpoint> {
    await this.#answer()
    return this.stale?.checkpoint ?? this.#checkpoint
  }

  async load(_partition: number, requests: LoadRequest[]): Promise<Loaded> {
    await this.#answer()
    this.loads += 1
    await this.hold
    if (this.broken !== undefined) throw this.broken
    const moment = this.stale ?? this.moment()
    const states: Loaded['states'] = new Map()
    const lookups: Loaded['lookups'] = new Map()
    const left = new Set(this.leave(requests))
    for (const request of requests) {
      const stored = moment.conversations.get(request.conversation)
      for (const id of request.ids) {
        lookups.set(lookupKey(request.conversation, id), foundIn(stored, id))
      }
      if (!request.state || stored === undefined || left.has(request.conversation)) continue
      const kept = new Map([...stored.kept].slice(-this.#keep))
      const floor = loadedFloor(stored.head, kept)
      const state = { ...copyOf(stored), kept: new Map(), deleted: new Map(), floor }
      for (const [id, event] of kept) keep(state, id, event)
      states.set(request.conversation, state)
    }
    await Promise.resolve()
    return { checkpoint: moment.checkpoint, states, left, lookups }
  }

  async #answer(): Promise<void> {
    await Promise.resolve()
    if (this.away) throw new DatabaseUnavailable('simulated: away')
  }

  #of(conversation: string): ConversationState {
    const known = this.#conversations.get(conversation)
    if (known !== undefined) return known
    const made = emptyConversation(conversation)
    this.#conversations.set(conversation, made)
    return made
  }
}

/** A row of `messages`: the event, and the deletion that a message's row also holds. */
function foundIn(stored: ConversationState | undefined, id: string): Lookup {
  const kept = stored?.kept.get(id)
  if (kept === undefined) return null
  const deletedSeq = stored?.deleted.get(id)
  return deletedSeq === undefined ? kept : { ...kept, deletedSeq }
}

function copyOf(state: ConversationState): ConversationState {
  const members = new Map([...state.members].map(([user, m]) => [user, { ...m }]))
  return { ...state, members, kept: new Map(state.kept), deleted: new Map(state.deleted) }
}
