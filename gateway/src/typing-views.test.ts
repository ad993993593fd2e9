import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TypingSources, typingTimes } from './typing-sources.ts'
import { type TypingChange, TypingViews } from './typing-views.ts'

const conversation = 'c'
const said = (user: string, origin: string, active = true) => ({
  conversation,
  user,
  origin,
  active,
})

describe('what a connection types', () => {
  test('is told once, prolonged by repetitions, and ends 6 s after the last', () => {
    const sources = new TypingSources<string>()
    expect(sources.say('ann', conversation, true, 0)).toBe(true)
    expect(sources.say('ann', conversation, true, 900)).toBe(false)
    expect(sources.expire(6_899)).toEqual([])
    expect(sources.expire(6_900)).toEqual([{ connection: 'ann', conversation }])
    expect(sources.size).toBe(0)
  })

  test('is told again when it goes on for longer than a second', () => {
    const sources = new TypingSources<string>()
    sources.say('ann', conversation, true, 0)
    expect(sources.say('ann', conversation, true, 1_000)).toBe(true)
  })

  test('ends once, by its word or with the connection', () => {
    const sources = new TypingSources<string>()
    sources.say('ann', conversation, true, 0)
    sources.say('ann', 'd', true, 0)
    expect(sources.say('ann', conversation, false, 1)).toBe(true)
    expect(sources.say('ann', conversation, false, 2)).toBe(false)
    expect(sources.endAll('ann')).toEqual(['d'])
    expect(sources.expire(9_999)).toEqual([])
  })
})

describe('who is shown as typing', () => {
  const to = (change: TypingChange | null, ids: string[]) => ids.filter((id) => change?.to(id))
  const ids = ['phone', 'desk', 'other']

  test('is not shown to the connection it came from, but to others of the same user', () => {
    const views = new TypingViews()
    expect(to(views.heard(said('ann', 'phone'), 0), ids)).toEqual(['desk', 'other'])
  })

  test('[P3] ends for others only when no other connection of that user types', () => {
    const views = new TypingViews()
    views.heard(said('ann', 'phone'), 0)
    views.heard(said('ann', 'desk'), 0)
    const first = views.heard(said('ann', 'phone', false), 1)
    expect(to(first, ids), 'the desk saw the phone type').toEqual(['desk'])
    expect(to(views.heard(said('ann', 'desk', false), 2), ids)).toEqual(['phone', 'other'])
    expect(views.has(conversation)).toBe(false)
  })

  test('[P3] ends by a message of that user for all who saw it', () => {
    const views = new TypingViews()
    views.heard(said('ann', 'phone'), 0)
    const change = views.spoke(conversation, 'ann')
    expect(change?.active).toBe(false)
    expect(to(change, ids)).toEqual(['desk', 'other'])
    expect(views.spoke(conversation, 'ann')).toBeNull()
    expect(views.heard(said('ann', 'phone', false), 1)).toBeNull()
  })

  test('ends by itself when its origin falls silent, 8 s after the last word', () => {
    const views = new TypingViews()
    views.heard(said('ann', 'phone'), 0)
    views.heard(said('ann', 'phone'), 1_000)
    expect(views.expire(8_999)).toEqual([])
    expect(views.expire(9_000)).toMatchObject([{ user: 'ann', active: false }])
    expect(typingTimes.unheardMs).toBeGreaterThan(typingTimes.lastsMs + typingTimes.repeatMs)
  })

  test('[G6] is not shown after a removal, though a word of it comes late', () => {
    const views = new TypingViews()
    views.heard(said('ann', 'phone'), 0)
    expect(views.removed(conversation, 'ann', 0)).toMatchObject({ active: false })
    expect(views.heard(said('ann', 'phone'), 1)).toBeNull()
    views.expire(10_000)
    expect(views.heard(said('ann', 'phone'), 10_000), 'it may have come back').not.toBeNull()
  })

  test('[G8] is bounded in number', () => {
    const views = new TypingViews({ typists: 2 })
    views.heard(said('ann', 'a'), 0)
    views.heard(said('ben', 'b'), 0)
    expect(views.heard(said('cat', 'c'), 0)).toBeNull()
    expect(views.heard(said('ann', 'a'), 1), 'who is shown goes on').not.toBeNull()
    views.heard(said('ben', 'b', false), 2)
    expect(views.heard(said('cat', 'c'), 3)).not.toBeNull()
  })

  test('is forgotten with the room', () => {
    const views = new TypingViews()
    views.heard(said('ann', 'phone'), 0)
    views.removed(conversation, 'ben', 0)
    views.forget(conversation)
    expect(views.has(conversation)).toBe(false)
    expect(views.heard(said('ben', 'b'), 1)).not.toBeNull()
  })
})

/** Two gateways on one bus, which keeps each gateway's own order and may lose; three users with two connections each. */
type Step =
  | { do: 'say'; who: number; active: boolean }
  | { do: 'speak'; who: number }
  | { do: 'close'; who: number }
  | { do: 'wait'; ms: number }
  | { do: 'carry'; from: number; to: number }
  | { do: 'lose'; from: number; to: number }

const who = fc.nat(5)
const gate = fc.nat(1)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('say' as const), who, active: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('speak', 'close'), who }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(4_000) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('carry' as const), from: gate, to: gate }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), from: gate, to: gate }) },
) as fc.Arbitrary<Step>

interface Signal {
  user: string
  origin: string
  active: boolean
}

class Bed {
  now = 0
  losses = false
  readonly users = ['ann', 'ben', 'cat']
  readonly gateways = [0, 1].map(() => ({
    sources: new TypingSources<string>(),
    views: new TypingViews(),
    /** From each gateway, in order. */
    inbox: [[], []] as Signal[][],
  }))
  /** By connection and user, what it was told last. */
  readonly told = new Map<string, Map<string, boolean>>()
  /** What each connection types, as its client knows it, and until when. */
  readonly types = new Map<string, number>()

  constructor() {
    for (let i = 0; i < 6; i++) this.told.set(this.id(i), new Map())
  }

  id = (i: number) => `${this.users[i % 3]}-${i < 3 ? 0 : 1}`
  gatewayOf = (id: string) => Number(id.at(-1))
  userOf = (id: string) => id.slice(0, -2)

  publish(id: string, active: boolean): void {
    for (const { inbox } of this.gateways) {
      inbox[this.gatewayOf(id)]?.push({ user: this.userOf(id), origin: id, active })
    }
  }

  show(gateway: number, change: TypingChange | null): void {
    if (change === null) return
    for (const [id, told] of this.told) {
      if (this.gatewayOf(id) === gateway && change.to(id)) told.set(change.user, change.active)
    }
  }

  take(step: Step): void {
    if (step.do === 'wait') {
      this.wait(step.ms)
      return
    }
    if (step.do === 'carry' || step.do === 'lose') {
      const signal = this.gateways[step.to]?.inbox[step.from]?.shift()
      if (signal === undefined) return
      if (step.do === 'lose') this.losses = true
      else this.hear(step.to, signal)
      return
    }
    const id = this.id(step.who)
    const { sources } = this.gateways[this.gatewayOf(id)] as (typeof this.gateways)[0]
    if (step.do === 'say') {
      if (step.active) this.types.set(id, this.now + typingTimes.lastsMs)
      else this.types.delete(id)
      if (sources.say(id, conversation, step.active, this.now)) this.publish(id, step.active)
      return
    }
    this.types.delete(id)
    // A message is acked to its own gateway and seen on both.
    if (sources.end(id, conversation)) this.publish(id, false)
    if (step.do === 'close') return
    for (let g = 0; g < 2; g++) {
      this.show(g, this.gateways[g]?.views.spoke(conversation, this.userOf(id)) ?? null)
    }
  }

  hear(gateway: number, signal: Signal): void {
    const { views } = this.gateways[gateway] as (typeof this.gateways)[0]
    this.show(gateway, views.heard({ conversation, ...signal }, this.now))
  }

  wait(ms: number): void {
    const end = this.now + ms
    while (this.now < end) {
      this.now = Math.min(end, this.now + 200)
      this.gateways.forEach(({ sources, views }, g) => {
        for (const { connection } of sources.expire(this.now)) this.publish(connection, false)
        for (const change of views.expire(this.now)) this.show(g, change)
      })
    }
    for (const [id, until] of this.types) if (until <= this.now) this.types.delete(id)
  }

  carryAll(): void {
    this.gateways.forEach(({ inbox }, g) => {
      for (const signals of inbox) for (const signal of signals.splice(0)) this.hear(g, signal)
    })
  }
}

test('any typing, losses and ends: without a loss all see who types, and in the end nobody is shown', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), (steps) => {
      const bed = new Bed()
      let spoken = false
      for (const one of steps) {
        bed.take(one)
        spoken ||= one.do === 'speak'
      }
      bed.carryAll()
      for (const [id, told] of bed.told) {
        for (const user of bed.users) {
          const typing = [...bed.types.keys()].some((o) => o !== id && bed.userOf(o) === user)
          // A message ends what is shown of all of its sender's connections until they repeat themselves.
          if (!bed.losses && !spoken) {
            expect(told.get(user) ?? false, `${user} to ${id}`).toBe(typing)
          }
        }
      }
      bed.types.clear()
      for (let i = 0; i < 3; i++) {
        bed.wait(typingTimes.unheardMs)
        bed.carryAll()
      }
      for (const [id, told] of bed.told) {
        for (const [user, active] of told) expect(active, `${user} to ${id}`).toBe(false)
      }
    }),
    { numRuns: 2_000 },
  )
})
