import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { MembershipAnswer, Reader, RoomSink, Run } from './reader.ts'
import { Room } from './rooms.ts'

const frame = (seq: number) => new Uint8Array([seq])
const run = (
  first: number,
  last: number,
  removed: Run['removed'] = [],
  joined: number = 0,
): Run => ({
  first,
  frames: Array.from({ length: last - first + 1 }, (_, i) => frame(first + i)),
  removed,
  joined,
  updated: 0,
})

/** What one connection was told, in order. */
type Told = { event: number } | { gap: number } | 'removed'

function recorder() {
  const told: Told[] = []
  const asked: Reader<string>[] = []
  const readmitted: number[] = []
  const link = { open: true }
  const sink: RoomSink<string> = {
    deliver(_reader, run, first, last) {
      if (!link.open) return false
      for (let seq = first; seq <= last; seq++) {
        expect(run.frames[seq - run.first]?.[0]).toBe(seq)
        told.push({ event: seq })
      }
      return true
    },
    gap(_reader, head) {
      if (link.open) told.push({ gap: head })
      return link.open
    },
    removed: () => void told.push('removed'),
    readmitted: (_reader, seq) => void readmitted.push(seq),
    recheck: (reader) => void asked.push(reader),
  }
  return { told, asked, readmitted, link, sink }
}
const events = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, i) => ({ event: first + i }))

describe('a live reader', () => {
  test('gets exactly the frames from its next on, and nothing twice', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.join('link', 'ann', 3)
    room.publish(run(4, 5))
    room.publish(run(4, 6))
    room.publish(run(5, 6))
    expect(r.told).toEqual(events(4, 6))
  })

  test('[G6] [Y7] gets nothing past a hole before the directory was asked, then one gap', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.join('link', 'ann', 3)
    room.publish(run(5, 5))
    room.publish(run(6, 6))
    expect(r.told).toEqual([])
    expect(r.asked).toEqual([reader])
    room.checked(reader, { inside: true, head: 4 })
    room.publish(run(7, 7))
    expect(r.told).toEqual([{ gap: 6 }, { event: 7 }])
  })

  test('[G6] an answer older than the hole does not let it go on', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.join('link', 'ann', 3)
    room.publish(run(6, 6))
    room.checked(reader, { inside: true, head: 4 })
    room.publish(run(7, 7))
    expect(r.told).toEqual([])
    expect(r.asked).toHaveLength(2)
    room.checked(reader, { inside: false, asOf: 5 })
    room.publish(run(8, 8))
    expect(r.told).toEqual(['removed'])
  })

  test('[G6] removed gets the events up to its removal and nothing after', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.join('link', 'ann', 3)
    room.publish(run(4, 7, [{ seq: 5, user: 'ann' }]))
    room.publish(run(8, 8))
    expect(r.told).toEqual([...events(4, 5), 'removed'])
    expect(room.readers.size).toBe(0)
  })

  test('a notice of removal that comes first lets the events up to it through', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.join('link', 'ann', 3)
    room.expel(reader, 5)
    room.publish(run(4, 6))
    expect(r.told).toEqual([...events(4, 5), 'removed'])
  })

  test('[G11] a notice of removal whose event never comes ends the reader within two ticks', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.expel(room.join('link', 'ann', 3), 4)
    room.tick()
    room.tick()
    expect(r.told).toEqual(['removed'])
  })

  test('a repeated notice of an old removal does not hurt who was added since', () => {
    const r = recorder()
    const room = new Room('c', 9, r.sink)
    const reader = room.join('link', 'ann', 9)
    room.expel(reader, 7)
    room.publish(run(10, 10))
    expect(r.told).toEqual([{ event: 10 }])
  })

  test('[G7] behind an announced head is told a gap, up to it nothing', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const behind = room.join('behind', 'ann', 3)
    room.publish(run(4, 3)) // announces 3
    expect(r.asked).toEqual([])
    room.publish(run(6, 5)) // announces 5
    expect(r.asked).toEqual([behind])
    room.checked(behind, { inside: true, head: 5 })
    expect(r.told).toEqual([{ gap: 5 }])
  })

  test('[G7] a head that only the directory knows is followed up when no publish brings it', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.join('link', 'ann', 3)
    room.rumour(5)
    room.tick()
    expect(r.asked).toEqual([])
    room.tick()
    expect(r.asked).toEqual([reader])
  })

  test('[G7] [C13] whose link is full is owed one gap, told when it drains', () => {
    const r = recorder()
    const room = new Room('c', 0, r.sink)
    const reader = room.join('link', 'ann', 0)
    room.publish(run(1, 1))
    r.link.open = false
    room.publish(run(2, 2))
    room.publish(run(3, 4))
    expect(room.drained(reader)).toBe(false)
    r.link.open = true
    expect(room.drained(reader)).toBe(true)
    room.publish(run(5, 5))
    expect(r.told).toEqual([{ event: 1 }, { gap: 4 }, { event: 5 }])
  })
})

describe('joining', () => {
  test('from an older snapshot goes live at once when every event since was seen', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.publish(run(4, 6))
    expect(room.join('link', 'ann', 4).next).toBe(7)
    expect(r.asked).toEqual([])
  })

  test('[G6] from an older snapshot asks anew when the user was removed since', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.publish(run(4, 6, [{ seq: 5, user: 'ann' }]))
    expect(room.join('link', 'ann', 4).state).toBe('held')
  })

  test('by a notice gets the adding event itself, and what follows, once it was introduced', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.admit('link', 'ann', 4)
    room.publish(run(4, 5))
    expect(r.told).toEqual([])
    room.introduce(reader)
    room.publish(run(6, 6))
    expect(r.told).toEqual(events(4, 6))
  })

  test('by a notice gets a gap when the adding event has gone by', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.publish(run(4, 6))
    const reader = room.admit('link', 'ann', 5)
    expect(r.told).toEqual([])
    room.introduce(reader)
    room.publish(run(7, 7))
    expect(r.told).toEqual([{ gap: 6 }, { event: 7 }])
  })

  test('by a notice that comes behind its event gets that event, as long as it is kept', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.publish(run(4, 6, [], 5))
    room.publish(run(7, 7))
    room.introduce(room.admit('link', 'ann', 5))
    expect(r.told).toEqual(events(5, 7))
    room.tick()
    room.tick()
    room.introduce(room.admit('late', 'ann', 5))
    expect(r.told.slice(3)).toEqual([{ gap: 7 }])
  })

  test('[G6] by a notice that comes behind its event and a removal does not get what is kept', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.publish(run(4, 6, [{ seq: 6, user: 'ann' }], 5))
    const reader = room.admit('link', 'ann', 5)
    room.introduce(reader)
    expect(r.told).toEqual([])
    expect(reader.state).toBe('held')
  })

  test('by a notice of an event far ahead is told a gap for what it does not see go by', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.introduce(room.admit('link', 'ann', 6))
    expect(r.told).toEqual([{ gap: 6 }])
  })

  test('late, for a client that knows nothing of it, is told a gap once it was introduced', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.joinUnknown('link', 'ann', 3)
    room.publish(run(4, 4))
    expect(r.told).toEqual([])
    room.introduce(reader)
    room.publish(run(5, 5))
    expect(r.told).toEqual([{ gap: 4 }, { event: 5 }])
  })

  test('[G6] who is removed before it was introduced gets nothing', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.admit('link', 'ann', 4)
    room.publish(run(4, 6, [{ seq: 5, user: 'ann' }]))
    room.introduce(reader)
    room.publish(run(7, 7))
    expect(r.told).toEqual(['removed'])
  })

  test('[G6] a late notice does not bring back who was removed since', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    room.publish(run(4, 6, [{ seq: 6, user: 'ann' }]))
    expect(room.removedSince('ann', 5)).toBe(true)
  })

  test('[G6] by a notice while its adding event and a later removal are on their way is removed by the later one', () => {
    const r = recorder()
    const room = new Room('c', 4, r.sink)
    room.introduce(room.admit('link', 'ann', 8))
    room.publish(
      run(5, 10, [
        { seq: 6, user: 'ann' },
        { seq: 9, user: 'ann' },
      ]),
    )
    expect(r.told).toEqual([{ gap: 8 }, { event: 9 }, 'removed'])
  })

  test('by a notice that the directory does not show yet is not undone by its older answer', () => {
    const r = recorder()
    const room = new Room('c', 8, r.sink)
    const reader = room.admit('link', 'ann', 8)
    room.introduce(reader)
    room.publish(run(10, 10))
    room.checked(reader, { inside: false, asOf: 7 })
    expect(reader.state).toBe('held')
    room.checked(reader, { inside: true, head: 10 })
    expect(r.told).toEqual([{ gap: 8 }, { gap: 10 }])
  })

  test('again, of which the notice comes before the removal, ends and then is told', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.join('link', 'ann', 3)
    room.readmit(reader, 5)
    room.publish(run(4, 6, [{ seq: 4, user: 'ann' }]))
    expect(r.told).toEqual([{ event: 4 }, 'removed'])
    expect(r.readmitted).toEqual([5])
  })
})

describe('resuming', () => {
  test('goes on from its page with what came meanwhile', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.join('link', 'ann', 3)
    expect(room.resume(reader)).toBe(true)
    room.publish(run(4, 5))
    expect(r.told).toEqual([])
    room.resumed(reader, 3)
    room.publish(run(6, 6))
    expect(r.told).toEqual(events(4, 6))
  })

  test('[G7] is told a gap when its page could not be read', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.join('link', 'ann', 3)
    room.resume(reader)
    room.publish(run(4, 5))
    room.resumed(reader, null)
    expect(r.told).toEqual([{ gap: 5 }])
  })

  test('[G6] is over when its user is removed meanwhile', () => {
    const r = recorder()
    const room = new Room('c', 3, r.sink)
    const reader = room.join('link', 'ann', 3)
    room.resume(reader)
    room.publish(run(4, 6, [{ seq: 5, user: 'ann' }]))
    room.resumed(reader, 3)
    expect(r.told).toEqual(['removed'])
  })
})

/**
 * A conversation whose owner publishes events, of which some add and remove users, over a bus that loses, doubles and
 * reorders, with a directory that lags behind. Held against what really happened.
 */
type Step =
  | { do: 'message' }
  | { do: 'remove' | 'add'; user: number }
  | { do: 'publish'; back: number; count: number }
  | { do: 'announce' }
  | { do: 'notice'; back: number }
  | { do: 'project' }
  | { do: 'answer'; stale: boolean }
  | { do: 'connect'; user: number }
  | { do: 'resume'; reader: number }
  | { do: 'page'; reader: number }
  | { do: 'introduce'; reader: number }
  | { do: 'block'; reader: number; blocked: boolean }
  | { do: 'tick' }

const users = ['ann', 'ben', 'cat']
const small = fc.nat({ max: 3 })
const user = fc.nat({ max: 2 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Step>({ do: 'message' }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('remove', 'add'), user }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('publish'), back: fc.nat({ max: 6 }), count: small }),
  },
  { weight: 2, arbitrary: fc.constant<Step>({ do: 'announce' }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('notice'), back: small }) },
  { weight: 3, arbitrary: fc.constant<Step>({ do: 'project' }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('answer'), stale: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('connect'), user }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resume'), reader: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('page'), reader: small }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('introduce'), reader: small }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('block'), reader: small, blocked: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.constant<Step>({ do: 'tick' }) },
) as fc.Arbitrary<Step>

interface Change {
  seq: number
  user: string
  type: 'added' | 'removed'
}
interface Link {
  user: string
  blocked: boolean
  /** Highest seq this connection has got or was told of. */
  told: number
}

class World {
  head = 1
  projected = 1
  /** By user, changes in order; all three are inside from seq 1. */
  readonly changes: Change[] = []
  readonly links: Link[] = []
  readonly readers: Reader<Link>[] = []
  asked: { reader: Reader<Link>; knownHead: number }[] = []
  readonly owed = new Set<Reader<Link>>()
  readonly room: Room<Link>

  constructor() {
    this.room = new Room<Link>('c', 1, {
      deliver: (reader, run, first, last) => {
        expect(reader.introduced, 'its client knows of the conversation').toBe(true)
        if (reader.connection.blocked) return this.owe(reader)
        for (let seq = first; seq <= last; seq++) {
          expect(run.frames[seq - run.first]).toEqual(frame(seq))
          this.got(reader.connection, seq)
        }
        return true
      },
      gap: (reader, head) => {
        expect(reader.introduced, 'its client knows of the conversation').toBe(true)
        if (reader.connection.blocked) return this.owe(reader)
        expect(head, 'a gap tells of something new').toBeGreaterThanOrEqual(reader.connection.told)
        expect(head, 'no head is made up').toBeLessThanOrEqual(this.head)
        reader.connection.told = Math.max(reader.connection.told, head)
        return true
      },
      removed: () => {},
      readmitted: (reader, seq) => this.admit(reader.connection, seq),
      recheck: (reader, knownHead) => void this.asked.push({ reader, knownHead }),
    })
  }

  owe(reader: Reader<Link>): false {
    this.owed.add(reader)
    return false
  }

  insideAt(who: string, seq: number): boolean {
    const last = this.changes.findLast((c) => c.user === who && c.seq <= seq)
    return last === undefined || last.type === 'added'
  }

  /** [G3], [G6], [G7]: an event is the next one, or a gap told of what lies between; and it was for this user. */
  got(link: Link, seq: number): void {
    expect(seq, 'in order, without a hole that no gap told of').toBe(link.told + 1)
    const removedByIt = this.changes.some(
      (c) => c.seq === seq && c.user === link.user && c.type === 'removed',
    )
    expect(this.insideAt(link.user, seq) || removedByIt, `${link.user} may see ${seq}`).toBe(true)
    link.told = seq
  }

  bound(link: Link): Reader<Link> | undefined {
    return [...this.room.readers].find((r) => r.connection === link)
  }

  admit(link: Link, seq: number): void {
    if (this.room.removedSince(link.user, seq)) return
    // The `conversation` frame tells that it was added; what lies before is not its own to miss.
    link.told = seq - 1
    this.readers.push(this.room.admit(link, link.user, seq))
  }

  /** What the conversation's channel said of events `first` to `last`. */
  run(first: number, last: number): Run {
    const removed = this.changes.filter(
      (c) => c.type === 'removed' && c.seq >= first && c.seq <= last,
    )
    const joined = this.changes.findLast(
      (c) => c.type === 'added' && c.seq >= first && c.seq <= last,
    )
    return run(first, last, removed, joined?.seq)
  }

  notice(change: Change): void {
    for (const link of this.links.filter((l) => l.user === change.user)) {
      const reader = this.bound(link)
      if (change.type === 'removed') {
        if (reader !== undefined) this.room.expel(reader, change.seq)
      } else if (reader !== undefined) this.room.readmit(reader, change.seq)
      else this.admit(link, change.seq)
    }
  }

  /** A stale answer is one that the contract of the directory does not allow; rooms don't rely on it. */
  answerNext(stale: boolean): void {
    const asked = this.asked.shift()
    if (asked === undefined) return
    const { reader, knownHead } = asked
    const answer = (): MembershipAnswer => {
      if (this.projected < knownHead && !stale) return 'unavailable'
      return this.insideAt(reader.user, this.projected)
        ? { inside: true, head: this.projected }
        : { inside: false, asOf: this.projected }
    }
    this.room.checked(reader, answer())
  }

  take(step: Step): void {
    switch (step.do) {
      case 'message':
        this.head += 1
        return
      case 'remove':
      case 'add': {
        const who = users[step.user] as string
        if (this.insideAt(who, this.head) !== (step.do === 'remove')) return
        this.head += 1
        const type = step.do === 'remove' ? 'removed' : 'added'
        this.changes.push({ seq: this.head, user: who, type })
        return
      }
      case 'publish': {
        const first = Math.max(1, this.head - step.back)
        this.room.publish(this.run(first, Math.min(this.head, first + step.count)))
        return
      }
      case 'announce':
        this.room.publish(run(this.head + 1, this.head))
        return
      case 'notice': {
        const change = this.changes.at(-1 - step.back)
        if (change !== undefined) this.notice(change)
        return
      }
      case 'project':
        this.projected = Math.min(this.head, this.projected + 1)
        return
      case 'answer':
        this.answerNext(step.stale)
        return
      case 'connect': {
        const who = users[step.user] as string
        if (!this.insideAt(who, this.projected)) return
        const link: Link = { user: who, blocked: false, told: 0 }
        this.links.push(link)
        const reader = this.room.join(link, who, this.projected)
        link.told = reader.next - 1
        this.readers.push(reader)
        return
      }
      case 'resume': {
        const reader = this.readers[step.reader]
        if (reader?.introduced) this.room.resume(reader)
        return
      }
      case 'page': {
        const reader = this.readers[step.reader]
        if (reader?.state !== 'resuming' || !reader.introduced) return
        const last = this.projected >= reader.next - 1 ? reader.next - 1 : null
        this.room.resumed(reader, last)
        return
      }
      case 'introduce': {
        const reader = this.readers.at(-1 - step.reader)
        if (reader !== undefined && reader.state !== 'gone') this.room.introduce(reader)
        return
      }
      case 'block': {
        const reader = this.readers[step.reader]
        if (reader === undefined) return
        reader.connection.blocked = step.blocked
        if (!step.blocked) this.drain()
        return
      }
      case 'tick':
        this.room.tick()
        return
    }
  }

  drain(): void {
    for (const reader of this.owed) {
      if (!reader.connection.blocked && this.room.drained(reader)) this.owed.delete(reader)
    }
  }

  /** Links mend, the directory catches up, the owner repeats its head and storage its notices. */
  settle(): void {
    this.projected = this.head
    for (const link of this.links) link.blocked = false
    const introduceAll = () => {
      for (const reader of this.readers) if (reader.state !== 'gone') this.room.introduce(reader)
    }
    introduceAll()
    for (const reader of this.readers) this.room.resumed(reader, null)
    this.drain()
    for (const change of this.changes) this.notice(change)
    introduceAll()
    this.room.publish(run(this.head + 1, this.head))
    for (let i = 0; i < 3; i++) this.room.tick()
    for (let i = 0; this.asked.length > 0; i++) {
      expect(i, 'rechecks come to an end').toBeLessThan(1_000)
      this.answerNext(false)
    }
    introduceAll()
    this.drain()
  }
}

test('[G3] [G6] [G7] [Y7] any loss, order and doubling: events in order, holes told, nothing to outsiders, all converge', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), (steps) => {
      const world = new World()
      for (let user = 0; user < users.length; user++) world.take({ do: 'connect', user })
      for (const one of steps) world.take(one)
      world.settle()
      for (const link of world.links) {
        const inside = world.insideAt(link.user, world.head)
        expect(world.bound(link) !== undefined, `${link.user} is bound`).toBe(inside)
        if (inside) expect(link.told, `${link.user} knows the head`).toBe(world.head)
      }
    }),
    { numRuns: 4_000 },
  )
})
