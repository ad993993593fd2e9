import type { Command } from '@parley/proto/commands'
import { decodeEventRecord } from '@parley/proto/event-records'
import { newId } from '@parley/proto/ids'
import { currentRules } from '@parley/proto/rules'
import { describe, expect, it } from 'vitest'
import { RunnerWorld, turn, until } from './simulated-runner.ts'

type Draft = Omit<Command, 'correlation'>

const alice = newId()
const bob = newId()

function base(conversation: string, sender = alice) {
  const at = Date.now()
  return { id: newId(at), conversation, sender, at, rules: currentRules }
}

function createGroup(conversation: string): Draft {
  const group = { type: 'create', kind: 'group', history: 'all', members: [alice, bob].sort() }
  return { ...base(conversation), ...group } as Draft
}

function send(conversation: string, text: string, sender = alice): Draft {
  return { ...base(conversation, sender), type: 'send', body: { text } } as Draft
}

const records = (world: RunnerWorld) =>
  world.log.of('parley.events').map((r) => decodeEventRecord(r.value))
const upTo = (world: RunnerWorld) => records(world).at(-1)?.upTo
const events = (world: RunnerWorld) => records(world).flatMap((r) => r.events)
const replyTo = (world: RunnerWorld, correlation: number) =>
  world.replies.filter((r) => r.correlation === correlation).map((r) => r.frame)
const answered = (world: RunnerWorld, count: number) =>
  until(() => world.replies.length >= count, `${count} replies`)
const appended = (world: RunnerWorld, offset: number) =>
  until(() => upTo(world)?.offset === offset, `events up to ${offset}`)

/** A conversation decided, appended and projected by an owner that is gone. */
async function past(world: RunnerWorld, drafts: Draft[]): Promise<void> {
  for (const draft of drafts) world.write([draft])
  const owner = await world.own()
  await owner.feed.all()
  await appended(world, world.log.of('parley.commands').length)
  await answered(world, drafts.length)
  await until(() => world.log.committed === drafts.length, 'C committed')
  owner.assignment.end()
  await owner.reader.revoked()
}

function projectAll(world: RunnerWorld): void {
  while (world.database.project());
}

describe('what is said of positions', () => {
  it('[R2] upTo stays below a command that waits, and passes it once it is decided', async () => {
    const world = new RunnerWorld()
    const [known, unknown] = [newId(), newId()]
    world.write([createGroup(known)])
    const owner = await world.own()
    await owner.feed.all()
    await appended(world, 1)
    world.database.away = true
    world.write([send(known, 'a'), createGroup(unknown), send(known, 'b')])
    await owner.feed.all()
    await until(() => events(world).length === 3, 'the known conversation goes on')
    expect(upTo(world)).toEqual({ offset: 1, index: 1 })
    await until(() => world.log.committed === 1, 'C committed up to what waits')
    world.database.away = false
    await appended(world, 2)
    expect(events(world)).toHaveLength(4)
  })

  it('[R2] where only refusals passed, an empty record carries it on', async () => {
    const world = new RunnerWorld()
    world.write([send(newId(), 'to nobody')])
    const owner = await world.own()
    await owner.feed.all()
    await appended(world, 1)
    expect(events(world)).toEqual([])
    expect(replyTo(world, 0)).toMatchObject([{ type: 'error', code: 'not_found' }])
  })

  it('[R2] what was covered stays covered: a taken over owner says no less than C', async () => {
    const world = new RunnerWorld()
    const [known, other] = [newId(), newId()]
    await past(world, [createGroup(known), createGroup(other)])
    const owner = await world.own()
    await owner.reader.read(world.log.of('parley.commands').slice(0, 1))
    await until(() => world.database.loads === 2, 'the first conversation loaded')
    world.database.away = true
    world.write([send(known, 'a')])
    await owner.reader.read(world.log.of('parley.commands').slice(1, 3))
    await until(() => events(world).length === 3, 'the known conversation goes on')
    expect(upTo(world)).toEqual({ offset: 2, index: 0 })
  })

  it('[R3] one append is in flight; one in doubt is repeated, so records double and none misses', async () => {
    const world = new RunnerWorld()
    const c = newId()
    const faults = ['doubtful', 'lost', 'doubtful'] as ('doubtful' | 'lost')[]
    world.log.appendFault = () => faults.shift()
    world.write([createGroup(c), send(c, 'a')])
    world.write([send(c, 'b')])
    const owner = await world.own()
    await owner.feed.all()
    await appended(world, 2)
    await until(() => world.log.committed === 2, 'C committed')
    expect(world.log.mostInFlight).toBe(1)
    expect(events(world).length).toBeGreaterThan(3)
    projectAll(world)
    expect(world.database.moment().conversations.get(c)?.head).toBe(3)
  })

  it('[R5] C is committed only up to what stands in the events log', async () => {
    const world = new RunnerWorld()
    let release = (): void => undefined
    world.log.hold = new Promise<void>((resolve) => {
      release = resolve
    })
    world.write([createGroup(newId())])
    const owner = await world.own()
    await owner.feed.all()
    await answered(world, 1)
    expect(world.published).toHaveLength(1)
    expect(world.log.committed).toBeNull()
    release()
    await until(() => world.log.committed === 1, 'C committed')
    expect(upTo(world)).toEqual({ offset: 1, index: 0 })
  })
})

describe('taking a partition over', () => {
  it('[R5] below C silently: state only; from C on aloud', async () => {
    const world = new RunnerWorld()
    const c = newId()
    await past(world, [createGroup(c), send(c, 'a'), send(c, 'b')])
    const before = { replies: world.replies.length, events: events(world).length }
    world.write([send(c, 'c')])
    const next = await world.own()
    expect(next.reader.start).toBe(0)
    await next.feed.all()
    await appended(world, 4)
    await answered(world, before.replies + 1)
    expect(world.published.map((e) => e.seq)).toEqual([1, 2, 3, 4])
    expect(events(world)).toHaveLength(before.events + 1)
    expect(replyTo(world, 3)).toMatchObject([{ type: 'ack', seq: 4 }])
  })

  it('[R5] begins after S, with what the database has', async () => {
    const world = new RunnerWorld()
    const c = newId()
    await past(world, [createGroup(c), send(c, 'a')])
    projectAll(world)
    world.write([send(c, 'b')])
    const next = await world.own()
    expect(next.reader.start).toBe(2)
    await next.feed.all()
    await answered(world, 3)
    expect(replyTo(world, 2)).toMatchObject([{ type: 'ack', seq: 3 }])
  })

  it('[R7] a command accepted before is acked again, without a second place', async () => {
    const world = new RunnerWorld()
    const c = newId()
    await past(world, [createGroup(c), send(c, 'a'), send(c, 'from outside', newId())])
    const next = await world.own(0)
    // Read S first, load later: the state is then ahead of what is replayed.
    projectAll(world)
    await next.feed.all()
    await answered(world, 6)
    expect(replyTo(world, 1)).toMatchObject([
      { type: 'ack', seq: 2 },
      { type: 'ack', seq: 2 },
    ])
    expect(replyTo(world, 1)[1]).not.toHaveProperty('duplicate')
    expect(replyTo(world, 2)).toMatchObject([{ code: 'not_found' }, { code: 'not_found' }])
    expect(world.published).toHaveLength(2)
    expect(world.database.moment().conversations.get(c)?.head).toBe(2)
  })

  it('[R7] one refused before, at or before the last position, is unknown to its client', async () => {
    const world = new RunnerWorld()
    const c = newId()
    await past(world, [createGroup(c), send(c, 'from outside', newId()), send(c, 'a')])
    const next = await world.own(0)
    projectAll(world)
    await next.feed.all()
    await answered(world, 6)
    expect(replyTo(world, 1)).toMatchObject([
      { code: 'not_found' },
      { code: 'unavailable', retryable: true },
    ])
  })

  it('[R15] contradictions between log and checkpoint stop the start', async () => {
    const world = new RunnerWorld()
    await past(world, [createGroup(newId()), createGroup(newId())])
    projectAll(world)
    world.log.earliest = 3
    await expect(world.own(2)).rejects.toThrow(/begins at 3/)
    world.log.earliest = 0
    await expect(world.own(9)).rejects.toThrow(/records are missing/)
    world.log.of('parley.commands').length = 1
    await expect(world.own(0)).rejects.toThrow(/records are missing/)
  })

  it('[R15] [D1] an offset that jumps, another log’s record or another schema stops the partition', async () => {
    const world = new RunnerWorld()
    for (let n = 0; n < 3; n++) world.write([createGroup(newId())])
    const list = world.log.of('parley.commands')
    const owner = () => world.own(0)
    const [first, , third] = list
    if (!first || !third) throw new Error('three records were written')
    await expect((await owner()).reader.read([first, third])).rejects.toThrow(/where 1 was due/)
    const foreign = { ...first, headers: { ...first.headers, epoch: newId() } }
    await expect((await owner()).reader.read([foreign])).rejects.toThrow(/another log/)
    const strange = { ...first, headers: { ...first.headers, schema: '99' } }
    await expect((await owner()).reader.read([strange])).rejects.toThrow(/schema 99/)
    const garbled = { ...first, value: Buffer.from('nothing') }
    await expect((await owner()).reader.read([garbled])).rejects.toThrow()
  })
})

describe('what needs the database', () => {
  it('[R6] a snapshot from before what was seen is not used', async () => {
    const world = new RunnerWorld()
    const [seen, other] = [newId(), newId()]
    const old = world.database.moment()
    await past(world, [createGroup(seen), send(seen, 'a'), createGroup(other)])
    projectAll(world)
    const next = await world.own()
    world.database.stale = old
    world.write([send(seen, 'b')])
    await next.feed.all()
    const loads = world.database.loads
    await until(() => world.database.loads >= loads + 3, 'tried again')
    expect(world.replies).toHaveLength(3)
    world.database.stale = undefined
    await answered(world, 4)
    expect(replyTo(world, 3)).toMatchObject([{ type: 'ack', seq: 3 }])
  })

  it('[R8] a retry of an id no longer kept gets its first seq, with its content only', async () => {
    const world = new RunnerWorld()
    const c = newId()
    const first = send(c, 'first')
    const drafts = [createGroup(c), first]
    for (let n = 0; n < 10; n++) drafts.push(send(c, `more ${n}`))
    await past(world, drafts)
    projectAll(world)
    const next = await world.own()
    world.write([{ ...first, at: Date.now() } as Draft])
    world.write([{ ...first, body: { text: 'other' } } as Draft])
    await next.feed.all()
    await answered(world, drafts.length + 2)
    expect(replyTo(world, drafts.length)).toMatchObject([{ type: 'ack', seq: 2, duplicate: true }])
    expect(replyTo(world, drafts.length + 1)).toMatchObject([{ code: 'id_conflict' }])
  })

  it('[R10] what waits keeps its order, others go on, and at the bound the partition pauses', async () => {
    const world = new RunnerWorld({ maxWaitingItems: 3 })
    const [ready, waiting] = [newId(), newId()]
    world.write([createGroup(ready)])
    const owner = await world.own()
    await owner.feed.all()
    await answered(world, 1)
    world.database.away = true
    world.write([createGroup(waiting), send(waiting, 'a'), send(ready, 'x')])
    await owner.feed.all()
    await answered(world, 2)
    expect(replyTo(world, 3)).toMatchObject([{ type: 'ack', seq: 2 }])
    world.write([send(waiting, 'b'), send(waiting, 'c')])
    let taken = false
    const fed = owner.feed.all().then(() => {
      taken = true
    })
    for (let n = 0; n < 20; n++) await turn()
    expect(taken).toBe(false)
    world.database.away = false
    await fed
    await answered(world, 6)
    const seqs = [1, 2, 4, 5].map((n) => replyTo(world, n)[0])
    expect(seqs).toMatchObject([{ seq: 1 }, { seq: 2 }, { seq: 3 }, { seq: 4 }])
  })

  it('[G8] at the bound of events not yet appended the partition pauses, and goes on after', async () => {
    const world = new RunnerWorld({ maxUnappendedBytes: 10 })
    let release = (): void => undefined
    world.log.hold = new Promise<void>((resolve) => {
      release = resolve
    })
    world.write([createGroup(newId())])
    const owner = await world.own()
    await owner.feed.all()
    await answered(world, 1)
    world.write([createGroup(newId())])
    let taken = false
    const fed = owner.feed.all().then(() => {
      taken = true
    })
    for (let n = 0; n < 20; n++) await turn()
    expect(taken).toBe(false)
    release()
    await fed
    await appended(world, 2)
  })

  it('[G8] at twice its weight the partition pauses until more is stored', async () => {
    const world = new RunnerWorld({ maxWeight: 4 })
    const c = newId()
    world.write([createGroup(c)])
    const owner = await world.own()
    await owner.feed.all()
    await answered(world, 1)
    world.write([send(c, 'a'), send(c, 'b')])
    let taken = false
    const fed = owner.feed.all().then(() => {
      taken = true
    })
    await answered(world, 3)
    for (let n = 0; n < 20; n++) await turn()
    expect(taken).toBe(false)
    await appended(world, 2)
    projectAll(world)
    await fed
  })

  it('[G8] too much for one snapshot is loaded in several', async () => {
    const world = new RunnerWorld()
    const ids = [newId(), newId(), newId()]
    await past(world, ids.map(createGroup))
    projectAll(world)
    world.database.leave = (requests) => requests.slice(1).map((r) => r.conversation)
    const next = await world.own()
    world.write(ids.map((id) => send(id, 'a')))
    const loads = world.database.loads
    await next.feed.all()
    await answered(world, 6)
    expect(world.database.loads).toBe(loads + 3)
    expect([3, 4, 5].map((n) => replyTo(world, n)[0])).toMatchObject([
      { seq: 2 },
      { seq: 2 },
      { seq: 2 },
    ])
  })

  it('[R5] what comes from the database after the assignment’s end tells nothing', async () => {
    const world = new RunnerWorld()
    let release = (): void => undefined
    world.database.hold = new Promise<void>((resolve) => {
      release = resolve
    })
    world.write([createGroup(newId())])
    const owner = await world.own()
    await owner.feed.all()
    await until(() => world.database.loads === 1, 'loading')
    owner.assignment.end()
    release()
    await owner.reader.revoked()
    for (let n = 0; n < 20; n++) await turn()
    expect(world.replies).toEqual([])
    expect(world.published).toEqual([])
  })

  it('[R13] a conversation leaves memory only once it is stored', async () => {
    const world = new RunnerWorld({ maxWeight: 10 })
    const [first, second] = [newId(), newId()]
    world.write([createGroup(first), send(first, 'a'), createGroup(second)])
    const owner = await world.own()
    await owner.feed.all()
    await answered(world, 3)
    const loads = world.database.loads
    world.write([send(first, 'b')])
    const fed = owner.feed.all()
    await answered(world, 4)
    expect(world.database.loads).toBe(loads)
    await appended(world, 2)
    projectAll(world)
    await fed
    let seq = 3
    for (let n = 4; world.database.loads === loads; n++) {
      if (n > 100) throw new Error('the stored conversation never left memory')
      world.write([send(n % 2 ? first : second, `${n}`)])
      if (n % 2) seq += 1
      await owner.feed.all()
      await answered(world, n + 1)
      projectAll(world)
    }
    expect(world.database.moment().conversations.get(first)?.head).toBe(seq)
  })
})

describe('what can’t go on', () => {
  it('[R12] rules that this release does not have stop the partition', async () => {
    const world = new RunnerWorld()
    world.write([{ ...createGroup(newId()), rules: 99 } as Draft])
    const owner = await world.own()
    await owner.feed.all()
    await until(() => owner.failures.length > 0, 'the partition stopped')
    expect(owner.failures[0]?.message).toMatch(/rules 99/)
    world.write([createGroup(newId())])
    await expect(owner.feed.all()).rejects.toThrow(/rules 99/)
    expect(upTo(world)).toBeUndefined()
  })

  it('a state that can’t be read stops the partition instead of being asked for for ever', async () => {
    const world = new RunnerWorld()
    world.database.broken = new Error('no event kind has the number 77')
    world.write([createGroup(newId())])
    const owner = await world.own()
    await owner.feed.all()
    await until(() => owner.failures.length > 0, 'the partition stopped')
    expect(owner.failures[0]?.message).toMatch(/number 77/)
  })

  it('what stands before a record that can’t be decided is told and appended', async () => {
    const world = new RunnerWorld()
    const c = newId()
    world.write([createGroup(c)])
    const owner = await world.own()
    await owner.feed.all()
    await answered(world, 1)
    world.write([send(c, 'good'), { ...send(c, 'strange'), rules: 99 } as Draft])
    await expect(owner.feed.all()).rejects.toThrow(/rules 99/)
    await answered(world, 2)
    expect(replyTo(world, 1)).toMatchObject([{ type: 'ack', seq: 2 }])
    await until(() => events(world).length === 2, 'the good one appended')
    expect(upTo(world)).toEqual({ offset: 1, index: 1 })
  })

  it('[R14] an append that can never succeed stops the partition', async () => {
    const world = new RunnerWorld()
    world.log.appendFault = () => 'impossible'
    world.write([createGroup(newId())])
    const owner = await world.own()
    await owner.feed.all()
    await until(() => owner.failures.length > 0, 'the partition stopped')
    expect(world.log.committed).toBeNull()
  })

  it('a zombie only repeats what the owner says', async () => {
    const world = new RunnerWorld()
    const c = newId()
    world.write([createGroup(c)])
    const zombie = await world.own()
    zombie.assignment.fenced = true
    const owner = await world.own()
    world.write([send(c, 'a'), send(c, 'b')])
    await Promise.all([zombie.feed.all(), owner.feed.all()])
    await answered(world, 6)
    await until(() => events(world).length >= 6, 'both appended')
    projectAll(world)
    expect(world.database.moment().conversations.get(c)?.head).toBe(3)
    for (const n of [0, 1, 2]) {
      const [one, two] = replyTo(world, n)
      expect(one).toEqual(two)
    }
  })
})
