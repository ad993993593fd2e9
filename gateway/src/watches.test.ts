import type { UserPresence } from '@parley/proto/session-records'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { Watches, watchTimes } from './watches.ts'

const online = (id: string): UserPresence => ({ id, state: 'online' })
const offline = (id: string): UserPresence => ({ id, state: 'offline' })
const seen = (id: string): UserPresence => ({ id, state: 'offline', lastSeen: 7 })

let told: unknown[]
let heard: Set<string>
let link: { open: boolean }
let watches: Watches<string>
beforeEach(() => {
  told = []
  heard = new Set()
  link = { open: true }
  watches = new Watches<string>(
    {
      listen: (user) => void heard.add(user),
      unlisten: (user) => void heard.delete(user),
      announce: (_, users) => void told.push({ all: users }),
      update(_, users) {
        if (link.open) told.push({ change: users })
        return link.open
      },
    },
    1_000,
  )
})

/** Whatever is due is asked and answered. */
function answer(acquaintances: readonly string[], presences: UserPresence[], now = 0): void {
  for (const check of watches.takeChecks(10, now)) {
    watches.checked(check, new Set(acquaintances), now)
  }
  for (const user of heard) watches.subjects.listening(user)
  const due = watches.subjects.take(100, now)
  const known = new Map(presences.map((presence) => [presence.id, presence]))
  watches.subjects.answered(
    due,
    due.map(({ user }) => known.get(user) ?? offline(user)),
    now,
  )
  watches.flush()
}

describe('a watch', () => {
  test('[P1] is answered with all at once, in the order asked, when all are known', () => {
    watches.set('link', 'ann', ['ben', 'cat', 'dan'], 0)
    watches.flush()
    expect(told).toEqual([])
    answer(['ben', 'dan'], [online('ben'), seen('dan')])
    expect(told).toEqual([{ all: [online('ben'), offline('cat'), seen('dan')] }])
  })

  test('[P5] of a stranger is offline, never seen, and its channel is not heard', () => {
    watches.set('link', 'ann', ['cat'], 0)
    answer([], [seen('cat')])
    expect(told).toEqual([{ all: [offline('cat')] }])
    expect(heard.size).toBe(0)
    watches.subjects.tell(online('cat'))
    watches.flush()
    expect(told).toHaveLength(1)
  })

  test('of nobody is answered at once', () => {
    watches.set('link', 'ann', [], 0)
    watches.flush()
    expect(told).toEqual([{ all: [] }])
  })

  test('is told of changes, and not of what is no change', () => {
    watches.set('link', 'ann', ['ben'], 0)
    answer(['ben'], [online('ben')])
    watches.subjects.tell(online('ben'))
    watches.flush()
    watches.subjects.tell(seen('ben'))
    watches.flush()
    expect(told.slice(1)).toEqual([{ change: [seen('ben')] }])
  })

  test('replaces the one before: who is watched no more is not heard, who still is stays heard', () => {
    watches.set('link', 'ann', ['ben', 'cat'], 0)
    answer(['ben', 'cat'], [online('ben')])
    const before = heard
    watches.set('link', 'ann', ['ben'], 1)
    expect([...before]).toEqual(['ben'])
    watches.flush()
    expect(told.at(-1), 'known already').toEqual({ all: [online('ben')] })
    watches.subjects.tell(online('cat'))
    watches.flush()
    expect(told).toHaveLength(2)
    watches.forget('link')
    expect(heard.size + watches.entries + watches.subjects.size).toBe(0)
  })

  test('[G10] whose link is full keeps its latest state until it carries it', () => {
    watches.set('link', 'ann', ['ben'], 0)
    answer(['ben'], [online('ben')])
    link.open = false
    for (const presence of [seen('ben'), online('ben'), { id: 'ben', state: 'away' as const }]) {
      watches.subjects.tell(presence)
      watches.flush()
    }
    link.open = true
    watches.flush()
    expect(told, 'not tried at every flush').toHaveLength(1)
    expect(watches.retry()).toBe(true)
    watches.flush()
    expect(watches.retry()).toBe(false)
    expect(told.slice(1)).toEqual([{ change: [{ id: 'ben', state: 'away' }] }])
  })

  test('[G8] beyond the bound of all watches is refused, and the old one stays', () => {
    const users = Array.from({ length: 600 }, (_, i) => `u${i}`)
    expect(watches.set('a', 'ann', users, 0)).toBe(true)
    expect(watches.set('b', 'ben', users, 0)).toBe(false)
    expect(watches.set('a', 'ann', users, 0), 'its own are counted once').toBe(true)
    watches.forget('a')
    expect(watches.set('b', 'ben', users, 0)).toBe(true)
  })
})

describe('what is not known now', () => {
  test('acquaintance: is asked for again, less and less often', () => {
    watches.set('link', 'ann', ['ben'], 0)
    const at: number[] = []
    for (let now = 0; now < 20_000; now += 50) {
      for (const check of watches.takeChecks(10, now)) {
        at.push(now)
        watches.checked(check, null, now)
      }
    }
    expect(at.slice(0, 4)).toEqual([0, 250, 750, 1_750])
    expect(at.length).toBeLessThan(9)
    answer(['ben'], [online('ben')], 30_000)
    expect(told).toEqual([{ all: [online('ben')] }])
  })

  test('presence: the watch waits, nothing is said', () => {
    watches.set('link', 'ann', ['ben'], 0)
    for (const check of watches.takeChecks(1, 0)) watches.checked(check, new Set(['ben']), 0)
    watches.subjects.listening('ben')
    watches.subjects.answered(watches.subjects.take(9, 0), null, 0)
    watches.flush()
    expect(told).toEqual([])
    answer([], [online('ben')])
    expect(told).toEqual([{ all: [online('ben')] }])
  })

  test('an answer that a change overtook is asked for again', () => {
    watches.set('link', 'ann', ['ben'], 0)
    for (const check of watches.takeChecks(1, 0)) watches.checked(check, new Set(['ben']), 0)
    watches.subjects.listening('ben')
    const asked = watches.subjects.take(9, 0)
    watches.subjects.tell(seen('ben'))
    watches.subjects.answered(asked, [online('ben')], 0)
    watches.flush()
    expect(told).toEqual([{ all: [seen('ben')] }])
    expect(watches.subjects.take(9, 0)).toHaveLength(1)
  })

  test('an answer that brought news is asked for once more, when a short state would have passed', () => {
    watches.set('link', 'ann', ['ben'], 0)
    answer(['ben'], [offline('ben')])
    // It was away for a moment, and what comes back within a second is not told.
    expect(watches.subjects.take(9, 1_499)).toEqual([])
    answer([], [online('ben')], 1_500)
    expect(told).toEqual([{ all: [offline('ben')] }, { change: [online('ben')] }])
    answer([], [online('ben')], 3_000)
    expect(watches.subjects.take(9, 99_999), 'confirmed').toEqual([])
  })

  test('a user is not asked for before its channel is heard', () => {
    watches.set('link', 'ann', ['ben'], 0)
    for (const check of watches.takeChecks(1, 0)) watches.checked(check, new Set(['ben']), 0)
    expect(watches.subjects.take(9, 0)).toEqual([])
    watches.subjects.listening('ben')
    expect(watches.subjects.take(9, 0)).toHaveLength(1)
  })
})

describe('[P5] when conversations are left', () => {
  beforeEach(() => {
    watches.set('link', 'ann', ['ben'], 0)
    answer(['ben'], [online('ben')])
    told = []
  })

  test('nothing is told before the directory, no older than that, was asked', () => {
    watches.lost('link', 'c', 9, 1_000)
    watches.subjects.tell(seen('ben'))
    watches.flush()
    expect(told).toEqual([])
    const [check] = watches.takeChecks(9, 1_000)
    expect([...(check?.known ?? [])]).toEqual([['c', 9]])
    watches.checked(check as NonNullable<typeof check>, new Set(), 1_000)
    watches.flush()
    expect(told).toEqual([{ change: [offline('ben')] }])
    expect(heard.size).toBe(0)
  })

  test('who still shares another one is told of as before', () => {
    watches.lost('link', 'c', 9, 1_000)
    watches.subjects.tell(seen('ben'))
    answer(['ben'], [seen('ben')], 1_000)
    expect(told).toEqual([{ change: [seen('ben')] }])
  })

  test('by the other one, of whom the watcher’s connection saw it', () => {
    watches.left('ben', ['other'], { conversation: 'c', seq: 9 }, 1_000)
    expect(watches.takeChecks(9, 1_000)).toEqual([])
    watches.left('ben', ['link'], { conversation: 'c', seq: 9 }, 1_000)
    answer([], [], 1_000)
    expect(told).toEqual([{ change: [offline('ben')] }])
  })

  test('by one of whom it is being asked whether it is a stranger', () => {
    watches.set('link', 'ann', ['cat'], 1_000)
    const [check] = watches.takeChecks(9, 1_000)
    watches.left('cat', ['link'], { conversation: 'c', seq: 9 }, 1_000)
    watches.checked(check as NonNullable<typeof check>, new Set(['cat']), 1_000)
    for (const one of heard) watches.subjects.listening(one)
    watches.subjects.answered(watches.subjects.take(9, 1_000), [online('cat')], 1_000)
    watches.flush()
    expect(told).toEqual([])
    answer([], [], 2_000)
    expect(told).toEqual([{ all: [offline('cat')] }])
  })

  test('a second loss while the first is asked is asked too before anything is told', () => {
    watches.lost('link', 'c', 9, 1_000)
    const [first] = watches.takeChecks(9, 1_000)
    watches.lost('link', 'd', 4, 1_001)
    watches.subjects.tell(seen('ben'))
    watches.checked(first as NonNullable<typeof first>, new Set(['ben']), 1_002)
    watches.flush()
    expect(told).toEqual([])
    answer([], [], 2_000)
    expect(told).toEqual([{ change: [offline('ben')] }])
  })

  test('and a new set is asked for meanwhile, it knows of the loss', () => {
    watches.lost('link', 'c', 9, 1_000)
    watches.set('link', 'ann', ['ben'], 1_000)
    watches.flush()
    expect(told).toEqual([])
    const [check] = watches.takeChecks(9, 1_000)
    expect([...(check?.known ?? [])]).toEqual([['c', 9]])
  })
})

describe('when conversations are joined', () => {
  test('a stranger becomes known', () => {
    watches.set('link', 'ann', ['ben'], 0)
    answer([], [])
    watches.gained('link', { conversation: 'c', seq: 3 }, 1_000, false)
    answer(['ben'], [online('ben')], 1_000)
    expect(told).toEqual([{ all: [offline('ben')] }, { change: [online('ben')] }])
  })

  test('by others, it is asked for at most every few seconds, and not where all are known', () => {
    watches.set('link', 'ann', ['ben', 'cat'], 0)
    answer(['ben'], [])
    watches.gained('link', { conversation: 'c', seq: 3 }, 1_000, true)
    expect(watches.takeChecks(9, watchTimes.gainedMs - 1)).toEqual([])
    answer(['ben', 'cat'], [], watchTimes.gainedMs)
    watches.gained('link', { conversation: 'c', seq: 4 }, 60_000, true)
    expect(watches.takeChecks(9, 60_000)).toEqual([])
  })
})

/**
 * Users who join and leave conversations, whose presence changes, and of whom some are watched: with lost and late
 * publishes, slow and failing answers, full links. Held against what is true.
 */
type Step =
  | { do: 'watch'; link: number; users: number[] }
  | { do: 'presence' | 'join' | 'leave'; user: number; conversation: number }
  | { do: 'deliver' | 'project' | 'interrupt' | 'late' }
  | { do: 'check' | 'ask'; fails: boolean; early: boolean }
  | { do: 'block'; link: number; blocked: boolean }
  | { do: 'wait'; ms: number }

const user = fc.nat(3)
const step = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('watch' as const),
      link: fc.nat(1),
      users: fc.uniqueArray(user, { maxLength: 3 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('presence', 'presence', 'join', 'leave'),
      user,
      conversation: fc.nat(1),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('deliver', 'project') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('interrupt', 'late') }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('check', 'ask'),
      fails: fc.boolean(),
      early: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('block' as const),
      link: fc.nat(1),
      blocked: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(6_000) }),
  },
) as fc.Arbitrary<Step>

const names = ['ann', 'ben', 'cat', 'dan']
/** The two links are ann's and ben's. */
const owners = ['ann', 'ben']

class Bed {
  now = 0
  version = 1
  readonly presences = new Map(names.map((name) => [name, online(name)]))
  /** By conversation: events so far, who is inside now, and who is inside in the database at its head. */
  readonly rooms = [0, 1].map(() => ({
    head: 1,
    inside: new Set(names),
    stored: 1,
    seen: new Set(names),
    log: [] as { user: string; joins: boolean }[],
  }))
  readonly listening = new Set<string>()
  published: UserPresence[] = []
  checks: { check: ReturnType<Watches<string>['takeChecks']>[0]; answer: Set<string> | null }[] = []
  asks: { due: ReturnType<Watches<string>['subjects']['take']>; answer: UserPresence[] }[] = []
  readonly blocked = new Set<string>()
  readonly wanted = new Map<string, string[]>()
  readonly told = new Map<string, Map<string, UserPresence>>()
  readonly watches = new Watches<string>(
    {
      listen: (one) => void this.listening.add(one),
      unlisten: (one) => void this.listening.delete(one),
      announce: (link, users) => {
        expect(users.map(({ id }) => id)).toEqual(this.wanted.get(link))
        for (const presence of users) this.maySee(link, presence)
        this.told.set(link, new Map(users.map((presence) => [presence.id, presence])))
      },
      update: (link, users) => {
        if (this.blocked.has(link)) return false
        for (const presence of users) {
          expect(this.told.get(link)?.get(presence.id), 'a change').not.toEqual(presence)
          this.maySee(link, presence)
          this.told.get(link)?.set(presence.id, presence)
        }
        return true
      },
    },
    100,
  )

  share(one: string, other: string, where: 'inside' | 'seen'): boolean {
    return one === other || this.rooms.some((r) => r[where].has(one) && r[where].has(other))
  }

  /** [P5] More than a plain `offline` is told only of those with whom a conversation is shared at that moment. */
  maySee(link: string, presence: UserPresence): void {
    if (presence.state === 'offline' && presence.lastSeen === undefined) return
    expect(this.share(link, presence.id, 'inside'), `${link} sees ${presence.id}`).toBe(true)
  }

  take(step: Step): void {
    switch (step.do) {
      case 'watch': {
        // A loss before there was a watch is found when the directory knows of it; here it does.
        for (const conversation of [0, 1]) for (let i = 0; i < 99; i++) this.project(conversation)
        const link = owners[step.link] as string
        const users = step.users.map((i) => names[i] as string)
        this.wanted.set(link, users)
        this.told.delete(link)
        this.watches.set(link, link, users, this.now)
        break
      }
      case 'presence':
        this.change(names[step.user] as string)
        break
      case 'join':
      case 'leave':
        this.move(step.conversation, names[step.user] as string, step.do === 'join')
        break
      case 'deliver':
        this.deliver()
        break
      case 'late':
        // A subscription that stood late: what came before is lost.
        this.published = []
        for (const one of this.listening) this.watches.subjects.listening(one)
        break
      case 'project':
        for (let i = 0; i < 2; i++) this.project(i)
        break
      case 'interrupt':
        this.watches.interrupted(this.now)
        break
      case 'check':
        this.check(step)
        break
      case 'ask':
        this.ask(step)
        break
      case 'block':
        if (step.blocked) this.blocked.add(owners[step.link] as string)
        else this.blocked.delete(owners[step.link] as string)
        break
      case 'wait':
        this.now += step.ms
    }
    this.watches.flush()
  }

  change(name: string): void {
    this.version += 1
    const presence =
      this.version % 2 === 0
        ? { id: name, state: 'offline' as const, lastSeen: this.version }
        : online(name)
    this.presences.set(name, presence)
    this.published.push(presence)
  }

  deliver(): void {
    const presence = this.published.shift()
    if (presence !== undefined && this.listening.has(presence.id)) {
      this.watches.subjects.tell(presence)
    }
  }

  move(conversation: number, name: string, joins: boolean): void {
    const room = this.rooms[conversation] as (typeof this.rooms)[0]
    if (room.inside.has(name) === joins) return
    const readers = new Set(room.inside)
    room.head += 1
    room.log.push({ user: name, joins })
    if (joins) room.inside.add(name)
    else room.inside.delete(name)
    const where = { conversation: `${conversation}`, seq: room.head }
    if (joins) {
      for (const link of owners) {
        if (link === name) this.watches.gained(link, where, this.now, false)
        else if (room.inside.has(link)) this.watches.gained(link, where, this.now, true)
      }
      return
    }
    if (owners.includes(name)) this.watches.lost(name, where.conversation, where.seq, this.now)
    this.watches.left(name, readers, where, this.now)
  }

  project(conversation: number): void {
    const room = this.rooms[conversation] as (typeof this.rooms)[0]
    const next = room.log[room.stored - 1]
    if (next === undefined) return
    room.stored += 1
    if (next.joins) room.seen.add(next.user)
    else room.seen.delete(next.user)
  }

  /** The directory answers of the moment it was asked, or (`early`) later, and never older than the heads it was told. */
  check({ fails, early }: { fails: boolean; early: boolean }): void {
    for (const check of this.watches.takeChecks(1, this.now)) {
      const behind = [...check.known].some(
        ([c, head]) => (this.rooms[Number(c)] as (typeof this.rooms)[0]).stored < head,
      )
      const { owner, entries } = check.watch
      const known = [...entries.keys()].filter((other) => this.share(owner, other, 'seen'))
      this.checks.push({ check, answer: fails || behind ? null : new Set(known) })
    }
    if (early) return
    const answered = this.checks.shift()
    if (answered !== undefined) this.watches.checked(answered.check, answered.answer, this.now)
  }

  ask({ fails, early }: { fails: boolean; early: boolean }): void {
    for (const one of this.listening) {
      if (!this.watches.subjects.find(one)?.heard) this.watches.subjects.listening(one)
    }
    const due = this.watches.subjects.take(2, this.now)
    const answer = due.map((subject) => this.presences.get(subject.user) as UserPresence)
    if (due.length > 0) this.asks.push({ due, answer })
    if (early) return
    const answered = this.asks.shift()
    if (answered === undefined) return
    this.watches.subjects.answered(answered.due, fails ? null : answered.answer, this.now)
  }

  settle(): void {
    this.blocked.clear()
    for (const conversation of [0, 1]) for (let i = 0; i < 99; i++) this.project(conversation)
    while (this.published.length > 0) this.deliver()
    // What was lost is found by asking everything anew from time to time.
    for (let round = 0; round < 12; round++) {
      this.now += watchTimes.recheckMs
      this.watches.subjects.renew(this.now)
      for (let i = 0; i < 12; i++) {
        this.check({ fails: false, early: false })
        this.ask({ fails: false, early: false })
      }
      this.watches.retry()
      this.watches.flush()
    }
  }
}

test('[P1] [P5] any losses, delays and moves: strangers learn nothing, and all converge', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), (steps) => {
      const bed = new Bed()
      for (const one of steps) bed.take(one)
      bed.settle()
      for (const [link, users] of bed.wanted) {
        for (const name of users) {
          const known = bed.share(link, name, 'inside')
          const truth = known ? bed.presences.get(name) : offline(name)
          expect(bed.told.get(link)?.get(name), `${name} to ${link}`).toEqual(truth)
        }
      }
      for (const link of owners) bed.watches.forget(link)
      expect(bed.listening.size + bed.watches.entries + bed.watches.subjects.size).toBe(0)
    }),
    { numRuns: 1_500 },
  )
})
