import type { Command, SendCommand } from '@parley/proto/commands'
import { directConversationId, newId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { currentRules } from '@parley/proto/rules'
import { describe, expect, it } from 'vitest'
import { apply } from './apply.ts'
import { decide, UnknownRules } from './decide.ts'
import type { Outcome } from './outcome.ts'
import { emptyConversation, isStored, needsLookup, trimKept } from './state.ts'

const now = 1_790_000_000_000
const alice = newId(now)
const bob = newId(now)
const carol = newId(now)
const dave = newId(now)

function position(offset: number, index = 0) {
  return { epoch: 1, offset, index }
}

/** A conversation that is written to by `run`, one command a record. */
function conversation(id = newId(now)) {
  const state = emptyConversation(id)
  let offset = 0
  const base = (sender: string, at = now) => ({
    id: newId(at),
    conversation: id,
    sender,
    at,
    rules: currentRules,
    correlation: 0,
  })
  const run = (command: Command): Outcome => {
    const at = position(offset++)
    const outcome = decide(state, command, at)
    apply(state, outcome, at)
    return outcome
  }
  return { state, base, run, nextOffset: () => offset }
}

function group(members = [alice, bob, carol]) {
  const c = conversation()
  c.run({ ...c.base(alice), type: 'create', kind: 'group', history: 'all', members })
  const send = (sender: string, text: string, more: Partial<SendCommand> = {}): SendCommand => ({
    ...c.base(sender),
    type: 'send',
    body: { text },
    ...more,
  })
  return { ...c, send }
}

const refusedWith = (code: string) => expect.objectContaining({ type: 'refused', code })
const acceptedAt = (seq: number) =>
  expect.objectContaining({ type: 'accepted', event: expect.objectContaining({ seq }) })

describe('send', () => {
  it('[G3] gives each accepted command the next seq', () => {
    const g = group()
    expect(g.run(g.send(alice, 'a'))).toEqual(acceptedAt(2))
    expect(g.run(g.send(dave, 'no member'))).toEqual(refusedWith('not_found'))
    expect(g.run(g.send(bob, 'b'))).toEqual(acceptedAt(3))
    expect(g.state.head).toBe(3)
  })

  it('[G2] answers a retry with its first seq, and other content under its id with id_conflict', () => {
    const g = group()
    const first = g.send(alice, 'once')
    g.run(first)
    g.run(g.send(bob, 'between'))
    expect(g.run(first)).toEqual({ type: 'duplicate', seq: 2, at: now, again: false })
    expect(g.run({ ...first, body: { text: 'other' } })).toEqual(refusedWith('id_conflict'))
    expect(g.run({ ...first, sender: bob })).toEqual(refusedWith('id_conflict'))
    expect(g.state.head).toBe(3)
  })

  it('[R9] answers a duplicate of one who has left since', () => {
    const g = group()
    const first = g.send(bob, 'last words')
    g.run(first)
    g.run({ ...g.base(bob), type: 'remove', user: bob })
    expect(g.run(first)).toMatchObject({ type: 'duplicate', seq: 2 })
    expect(g.run(g.send(bob, 'after'))).toEqual(refusedWith('not_found'))
  })

  it('[G6] tells an outsider who guessed an id nothing', () => {
    const g = group()
    const first = g.send(alice, 'secret')
    g.run(first)
    expect(g.run({ ...first, sender: dave })).toEqual(refusedWith('not_found'))
  })

  it('[R11] [S12] never lets at decrease with seq', () => {
    const g = group()
    g.run(g.send(alice, 'a', { at: now + 500 }))
    const late = g.run(g.send(bob, 'b', { at: now - 10_000 }))
    expect(late).toMatchObject({ event: { at: now + 500 } })
  })

  it('[R7] a command at or before the last position changes nothing', () => {
    const g = group()
    const first = g.send(alice, 'a')
    g.run(first)
    g.run(g.send(alice, 'b'))
    const replayed = decide(g.state, first, position(1))
    expect(replayed).toEqual({ type: 'duplicate', seq: 2, at: now, again: true })
    expect(decide(g.state, g.send(alice, 'never accepted'), position(2))).toEqual({
      type: 'passed',
    })
  })

  it('[R12] stops at rules it does not know', () => {
    const g = group()
    expect(() => decide(g.state, { ...g.send(alice, 'a'), rules: 99 }, position(9))).toThrow(
      UnknownRules,
    )
  })

  it('[R14] refuses what would make an event too large', () => {
    const g = group()
    const huge = { text: 'x'.repeat(limits.bodyBytes + 8_192) }
    expect(g.run(g.send(alice, '', { body: huge }))).toEqual(refusedWith('too_large'))
  })

  it('[N1] [N2] refuses an id that is not version 7 or lies in the future', () => {
    const g = group()
    expect(g.run(g.send(alice, 'a', { id: directConversationId(alice, bob) }))).toEqual(
      refusedWith('invalid'),
    )
    const ahead = newId(now + limits.idAheadMs + 1_000)
    expect(g.run(g.send(alice, 'a', { id: ahead }))).toEqual(refusedWith('invalid'))
  })
})

describe('edit, delete, react', () => {
  const about = (g: ReturnType<typeof group>, sender: string, target: string) => ({
    edit: { ...g.base(sender), type: 'edit', target, body: { text: 'edited' } } as Command,
    delete: { ...g.base(sender), type: 'delete', target } as Command,
    react: { ...g.base(sender), type: 'react', target, emoji: '👍' } as Command,
  })

  it('[S9] only its sender edits a message; its sender, an owner or an admin deletes it; members react', () => {
    const g = group()
    const message = g.send(bob, 'mine')
    g.run(message)
    expect(g.run(about(g, alice, message.id).edit)).toEqual(refusedWith('forbidden'))
    expect(g.run(about(g, carol, message.id).delete)).toEqual(refusedWith('forbidden'))
    expect(g.run(about(g, carol, message.id).react)).toEqual(acceptedAt(3))
    expect(g.run(about(g, bob, message.id).edit)).toMatchObject({
      event: { kind: 'edit', target: message.id, body: { text: 'edited' } },
    })
    expect(g.run(about(g, dave, message.id).react)).toEqual(refusedWith('not_found'))
    const deleted = g.run(about(g, alice, message.id).delete)
    expect(deleted).toMatchObject({ event: { kind: 'delete', target: message.id } })
    expect(deleted).not.toHaveProperty('event.body')
  })

  it('[S10] nothing is done to a message once deleted, to another kind of event, or to none', () => {
    const g = group()
    const message = g.send(bob, 'mine')
    g.run(message)
    const edit = about(g, bob, message.id).edit
    g.run(edit)
    g.run(about(g, bob, message.id).delete)
    for (const target of [message.id, edit.id, newId(now)]) {
      for (const command of Object.values(about(g, bob, target))) {
        expect(g.run(command)).toEqual(refusedWith('not_found'))
      }
    }
  })

  it('[R8] a target no longer kept is looked up; a deletion beyond the head in memory does not count', () => {
    const g = group()
    const message = g.send(bob, 'old', { id: newId(now - 3_600_000) })
    g.run(message)
    for (let n = 0; n < limits.keptIds + 1; n++) g.run(g.send(alice, `${n}`))
    trimKept(g.state, position(g.nextOffset()))
    const { edit } = about(g, bob, message.id)
    const at = position(g.nextOffset())
    expect(() => decide(g.state, edit, at)).toThrow(/not looked up/)
    const row = {
      seq: 2,
      at: now,
      hash: 'x',
      kind: 'message',
      sender: bob,
      position: position(1),
    } as const
    const answer = (found: object) =>
      decide(g.state, edit, at, (id) => (id === message.id ? { ...row, ...found } : null))
    expect(answer({})).toEqual(acceptedAt(g.state.head + 1))
    expect(answer({ deletedSeq: g.state.head })).toEqual(refusedWith('not_found'))
    expect(answer({ deletedSeq: g.state.head + 1 })).toEqual(acceptedAt(g.state.head + 1))
    expect(answer({ sender: alice })).toEqual(refusedWith('forbidden'))
  })

  it('[G6] what lies before a member’s `from` is not there for it', () => {
    const c = conversation()
    c.run({ ...c.base(alice), type: 'create', kind: 'group', history: 'joined', members: [alice] })
    const message: Command = { ...c.base(alice), type: 'send', body: { text: 'early' } }
    c.run(message)
    c.run({ ...c.base(alice), type: 'add', users: [bob] })
    const react: Command = { ...c.base(bob), type: 'react', target: message.id, emoji: '👍' }
    expect(c.run(react)).toEqual(refusedWith('not_found'))
  })
})

describe('[R8] exact dedupe', () => {
  function busy(count: number) {
    const g = group()
    const sent: SendCommand[] = []
    for (let i = 0; i < count; i++) {
      const command = g.send(alice, `m${i}`, { id: newId(now + i), at: now + i })
      sent.push(command)
      g.run(command)
    }
    return { ...g, sent }
  }

  it('drops nothing that is not stored, and asks for what it dropped', () => {
    const g = busy(limits.keptIds + 200)
    trimKept(g.state, position(0))
    expect(g.state.kept.size).toBe(limits.keptIds + 201)
    trimKept(g.state, position(g.nextOffset()))
    expect(g.state.kept.size).toBe(limits.keptIds)
    const old = g.sent[0] as SendCommand
    expect(needsLookup(g.state, old.id)).toBe(true)
    expect(() => decide(g.state, old, position(g.nextOffset()))).toThrow(/not looked up/)
    const hit = { seq: 2, at: now, hash: 'another', position: position(1) }
    const event = { ...hit, kind: 'message', sender: alice } as const
    expect(decide(g.state, old, position(g.nextOffset()), () => event)).toEqual(
      refusedWith('id_conflict'),
    )
  })

  it('counts a hit beyond the head in memory as not yet accepted', () => {
    const g = busy(limits.keptIds + 200)
    trimKept(g.state, position(g.nextOffset()))
    const unseen = g.send(alice, 'new', { id: newId(now) })
    expect(needsLookup(g.state, unseen.id)).toBe(true)
    const what = { at: now, hash: 'x', kind: 'message', sender: alice } as const
    const future = { ...what, seq: g.state.head + 1, position: position(99_999) }
    expect(decide(g.state, unseen, position(g.nextOffset()), () => future)).toEqual(
      acceptedAt(g.state.head + 1),
    )
  })

  it('takes an id above the floor for new without asking', () => {
    const g = busy(limits.keptIds + 200)
    trimKept(g.state, position(g.nextOffset()))
    expect(needsLookup(g.state, newId(now + 10_000))).toBe(false)
  })

  it('[R13] leaves memory only when its last position is stored', () => {
    const g = busy(3)
    expect(isStored(g.state, position(3))).toBe(false)
    expect(isStored(g.state, position(4))).toBe(true)
  })
})

describe('conversations', () => {
  it('creating a direct conversation twice, from either side, is the same conversation', () => {
    const c = conversation(directConversationId(alice, bob))
    const create = (sender: string): Command => ({
      ...c.base(sender),
      type: 'create',
      kind: 'direct',
      history: 'all',
      members: [alice, bob].sort(),
    })
    expect(c.run(create(alice))).toEqual(acceptedAt(1))
    expect(c.run(create(bob))).toMatchObject({ type: 'duplicate', seq: 1 })
    expect(c.state.members.get(alice)?.role).toBe('member')
  })

  it('refuses a direct conversation under another id', () => {
    const c = conversation()
    const members = [alice, bob]
    expect(
      c.run({ ...c.base(alice), type: 'create', kind: 'direct', history: 'all', members }),
    ).toEqual(refusedWith('invalid'))
  })

  it('refuses a second conversation under the id of a first', () => {
    const g = group()
    const members = [bob, dave]
    expect(
      g.run({ ...g.base(bob), type: 'create', kind: 'group', history: 'all', members }),
    ).toEqual(refusedWith('id_conflict'))
  })

  it('[S9] only owners and admins change members; the last owner hands over first', () => {
    const g = group()
    const add = (sender: string, user: string): Command => ({
      ...g.base(sender),
      type: 'add',
      users: [user],
    })
    const remove = (sender: string, user: string): Command => ({
      ...g.base(sender),
      type: 'remove',
      user,
    })
    const role = (sender: string, user: string, to: 'owner' | 'admin' | 'member'): Command => ({
      ...g.base(sender),
      type: 'role',
      user,
      role: to,
    })
    expect(g.run(add(bob, dave))).toEqual(refusedWith('forbidden'))
    expect(g.run(add(alice, dave))).toEqual(acceptedAt(2))
    expect(g.run(add(alice, dave))).toEqual(refusedWith('conflict'))
    expect(g.run(remove(bob, dave))).toEqual(refusedWith('forbidden'))
    expect(g.run(remove(dave, dave))).toEqual(acceptedAt(3))
    expect(g.run(remove(alice, alice))).toEqual(refusedWith('conflict'))
    expect(g.run(role(alice, alice, 'member'))).toEqual(refusedWith('conflict'))
    expect(g.run(role(bob, bob, 'owner'))).toEqual(refusedWith('forbidden'))
    expect(g.run(role(alice, bob, 'admin'))).toEqual(acceptedAt(4))
    expect(g.run(remove(bob, alice))).toEqual(refusedWith('forbidden'))
    expect(g.run(role(alice, bob, 'owner'))).toEqual(acceptedAt(5))
    expect(g.run(remove(alice, alice))).toEqual(acceptedAt(6))
    expect([...g.state.members.keys()].sort()).toEqual([bob, carol].sort())
  })

  it('[H6] a conversation has at most 10,000 members', () => {
    const c = group([alice])
    const add = (users: string[]): Outcome => c.run({ ...c.base(alice), type: 'add', users })
    const others = (count: number) => Array.from({ length: count }, () => newId(now))
    for (let i = 0; i < 19; i++) add(others(500))
    expect(add(others(498))).toEqual(acceptedAt(21))
    expect(c.state.members.size).toBe(9_999)
    expect(add([bob, carol])).toEqual(refusedWith('too_large'))
    expect(add([bob])).toEqual(acceptedAt(22))
    expect(add([carol])).toEqual(refusedWith('too_large'))
  })

  it('a later member of history `joined` sees from its joining on', () => {
    const c = conversation()
    c.run({ ...c.base(alice), type: 'create', kind: 'group', history: 'joined', members: [alice] })
    c.run({ ...c.base(alice), type: 'add', users: [bob] })
    expect(c.state.members.get(bob)?.from).toBe(2)
    expect(c.state.members.get(alice)?.from).toBe(1)
  })

  it('[S9] in a channel only owners and admins post; a direct conversation keeps its members', () => {
    const c = conversation()
    c.run({
      ...c.base(alice),
      type: 'create',
      kind: 'channel',
      history: 'all',
      members: [alice, bob],
    })
    const send = (sender: string): Command => ({
      ...c.base(sender),
      type: 'send',
      body: { text: 'x' },
    })
    expect(c.run(send(bob))).toEqual(refusedWith('forbidden'))
    expect(c.run(send(alice))).toEqual(acceptedAt(2))
    const d = conversation(directConversationId(alice, bob))
    const members = [alice, bob].sort()
    d.run({ ...d.base(alice), type: 'create', kind: 'direct', history: 'all', members })
    expect(d.run({ ...d.base(alice), type: 'remove', user: alice })).toEqual(
      refusedWith('forbidden'),
    )
    expect(d.run({ ...d.base(alice), type: 'add', users: [carol] })).toEqual(
      refusedWith('forbidden'),
    )
  })
})
