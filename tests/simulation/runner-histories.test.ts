import { apply } from '@parley/chat-service/sequencer/apply'
import { decide } from '@parley/chat-service/sequencer/decide'
import type { Outcome } from '@parley/chat-service/sequencer/outcome'
import { type ConversationState, emptyConversation } from '@parley/chat-service/sequencer/state'
import { type Command, decodeCommandRecord } from '@parley/proto/commands'
import { decodeEventRecord } from '@parley/proto/event-records'
import { newId } from '@parley/proto/ids'
import { currentRules } from '@parley/proto/rules'
import { expect, it } from 'vitest'
import { type Random, seeded } from './random.ts'
import { type Owner, RunnerWorld, turn, until } from './simulated-runner.ts'

/**
 * Histories of one partition: commands, retries and stolen ids come in while owners crash, go on as zombies, lose
 * appends and the database lags, goes away or answers from the past. At the end everything told and stored is held
 * against one owner to whom nothing ever happened. A failure names its seed: `SEED=n npx vitest run --project simulation`.
 */

const start = 1_790_000_000_000
const histories = Number(process.env.HISTORIES ?? 300)
const firstSeed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))
const pinned = [1, 2, 3]

class History {
  readonly world = new RunnerWorld({ maxWeight: 40, maxRecordBytes: 500 })
  readonly #random: Random
  readonly #users: string[]
  readonly #conversations: string[]
  readonly #written: Omit<Command, 'correlation'>[] = []
  #at = start
  #owners: Owner[] = []

  constructor(random: Random) {
    this.#random = random
    this.#users = Array.from({ length: 4 }, () => newId(start))
    this.#conversations = Array.from({ length: 3 }, () => newId(start))
  }

  async run(): Promise<void> {
    const random = this.#random
    this.#owners = [await this.world.own()]
    const { log, database } = this.world
    let past = database.moment()
    for (let step = 0; step < 150; step++) {
      const dice = random.next()
      if (dice < 0.4) this.#write()
      else if (dice < 0.6) await this.#feed()
      else if (dice < 0.75) this.#project()
      else if (dice < 0.8) await turn()
      else if (dice < 0.83) await this.#takeOver(true)
      else if (dice < 0.86) await this.#takeOver(false)
      else if (dice < 0.9) database.away = random.chance(0.5)
      else if (dice < 0.93) database.stale = random.chance(0.5) ? past : undefined
      else if (dice < 0.95) past = database.moment()
      else this.#breakAppends()
    }
    database.away = false
    database.stale = undefined
    log.appendFault = () => undefined
    await this.#settle()
  }

  #breakAppends(): void {
    const { log } = this.world
    const random = this.#random
    const rate = random.pick([0, 0.3, 0.8])
    log.appendFault = () =>
      random.chance(rate) ? random.pick(['lost', 'doubtful'] as const) : undefined
  }

  #project(): void {
    for (let n = this.#random.below(6); n > 0; n--) this.world.database.project()
  }

  async #feed(): Promise<void> {
    const owner = this.#random.pick(this.#owners)
    // A paused partition is fed no further; the simulation goes on without it.
    await Promise.race([owner.feed.some(this.#random), turn().then(turn)])
  }

  /** A crash ends the old owner at once; else it goes on as a zombie for a while. */
  async #takeOver(crash: boolean): Promise<void> {
    const { database } = this.world
    if (database.away) return
    for (const owner of this.#owners) {
      owner.assignment.fenced = true
      if (crash || this.#owners.length > 1) owner.assignment.end()
    }
    this.#owners = this.#owners.filter((owner) => !owner.assignment.signal.aborted)
    this.#owners.push(await this.world.own())
  }

  #write(): void {
    const random = this.#random
    const count = 1 + random.below(3)
    const commands = Array.from({ length: count }, () => this.#command())
    this.#written.push(...commands)
    this.world.write(commands)
  }

  #command(): Omit<Command, 'correlation'> {
    const random = this.#random
    this.#at += random.pick([0, 1, 1_000, 30_000, -20_000])
    const at = this.#at
    if (this.#written.length > 0 && random.chance(0.3)) {
      const old = random.pick(this.#written)
      const stolen = random.chance(0.2) ? { sender: random.pick(this.#users) } : {}
      return { ...old, ...stolen, at }
    }
    const base = {
      id: newId(at + random.pick([0, 0, 0, 120_000, 240_000, -600_000])),
      conversation: random.pick(this.#conversations),
      sender: random.pick(this.#users),
      at,
      rules: currentRules,
    }
    const other = random.pick(this.#users)
    const members = [...new Set([base.sender, other])].sort()
    const drafts: Omit<Command, 'correlation'>[] = [
      { ...base, type: 'create', kind: 'group', history: 'all', members } as never,
      { ...base, type: 'add', users: [other] } as never,
      { ...base, type: 'remove', user: other } as never,
      { ...base, type: 'role', user: other, role: 'admin' } as never,
    ]
    const target = random.pick(this.#written.length > 0 ? this.#written : [base]).id
    drafts.push(
      { ...base, type: 'edit', target, body: { text: `edited ${random.below(9)}` } } as never,
      { ...base, type: 'delete', target } as never,
      { ...base, type: 'react', target, emoji: '👍' } as never,
    )
    if (random.chance(0.4)) return random.pick(drafts)
    return { ...base, type: 'send', body: { text: `${random.below(1_000)}` } } as never
  }

  /** Everything healed: one owner decides to the end, all of it is appended and projected. */
  async #settle(): Promise<void> {
    const { log, database } = this.world
    for (const owner of this.#owners) owner.assignment.end()
    const last = await this.world.own()
    this.#owners = [last]
    const fed = last.feed.all()
    const end = log.of('parley.commands').length
    let upTo = 0
    await until(() => {
      while (database.project());
      for (const record of log.of('parley.events').slice(-3)) {
        upTo = Math.max(upTo, decodeEventRecord(record.value).upTo.offset)
      }
      return upTo >= end || last.failures.length > 0
    }, 'everything appended and projected')
    await fed
    await until(() => log.inFlight === 0, 'no append in flight')
    const answered = () => new Set(this.world.replies.map((reply) => reply.correlation)).size
    const written = this.world.commands.length
    await until(() => answered() === written, 'every command answered at least once')
    while (database.project());
    expect(last.failures).toEqual([])
    last.assignment.end()
    await last.reader.revoked()
  }

  judge(): void {
    const states = new Map<string, ConversationState>()
    const outcomes = new Map<number, Outcome>()
    const events = new Map<string, { id: string; at: number }>()
    for (const { offset, value } of this.world.log.of('parley.commands')) {
      decodeCommandRecord(value).commands.forEach((command, index) => {
        const { conversation, correlation } = command
        const state = states.get(conversation) ?? emptyConversation(conversation)
        states.set(conversation, state)
        const position = { epoch: 1, offset, index }
        const outcome = decide(state, command, position)
        apply(state, outcome, position)
        outcomes.set(correlation, outcome)
        if (outcome.type === 'accepted') {
          events.set(`${conversation}/${outcome.event.seq}`, outcome.event)
        }
      })
    }
    this.#judgeStored(states)
    for (const event of this.world.published) {
      expect(event, 'published').toEqual(events.get(`${event.conversation}/${event.seq}`))
    }
    const published = new Set(this.world.published.map((e) => `${e.conversation}/${e.seq}`))
    expect(
      [...events.keys()].filter((place) => !published.has(place)),
      'never published',
    ).toEqual([])
    this.#judgeReplies(outcomes, events)
  }

  #judgeStored(truth: Map<string, ConversationState>): void {
    const stored = this.world.database.moment().conversations
    for (const [id, state] of truth) {
      if (state.head === 0) continue
      expect(content(stored.get(id)), 'stored').toEqual(content(state))
    }
  }

  #judgeReplies(
    outcomes: Map<number, Outcome>,
    events: Map<string, { id: string; at: number }>,
  ): void {
    for (const { correlation, frame } of this.world.replies) {
      const truth = outcomes.get(correlation) as Outcome
      const command = this.world.commands[correlation] as Command
      if (frame.type === 'ack') {
        const event = events.get(`${command.conversation}/${frame.seq}`)
        expect(event?.at).toBe(frame.at)
        if (command.type !== 'create') expect(event?.id).toBe(command.id)
        if (truth.type === 'accepted') expect(frame.duplicate).toBeUndefined()
      } else if (frame.code === 'unavailable') {
        expect(truth.type).not.toBe('accepted')
      } else {
        expect(truth).toMatchObject({ type: 'refused', code: frame.code })
      }
    }
  }
}

function content(state: ConversationState | undefined): unknown {
  if (state === undefined) return undefined
  const { floor: _, kept, deleted, members, ...rest } = state
  return { ...rest, kept: [...kept], deleted: [...deleted], members: [...members].sort() }
}

async function live(seed: number): Promise<void> {
  try {
    const history = new History(seeded(seed))
    await history.run()
    history.judge()
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error })
  }
}

it(`[G1] [G2] [G3] [G4] [R2] [R3] [R5] [R6] [R8] [R10] histories of a partition under faults, from seed ${firstSeed}`, async () => {
  for (const seed of pinned) await live(seed)
  for (let n = 0; n < histories; n++) await live(firstSeed + n)
})
