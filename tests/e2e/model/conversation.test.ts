import { describe, expect, test } from 'vitest'
import type { Command, Role } from './contract.ts'
import { accept, type Conversation, createConversation, decide, read } from './conversation.ts'
import { asRead, eventsFor, mayHaveSeen, messagesFor, unreadOf } from './seen.ts'

/** The model is held against SPEC.md's own words, so that it can be trusted where it judges the server. */

let ids = 0
const newId = () => `id-${++ids}`

function must(conversation: Conversation, by: string, command: Command): string {
  const verdict = decide(conversation, by, command)
  if (!verdict.ok || 'duplicate' in verdict) throw new Error(JSON.stringify({ command, verdict }))
  accept(conversation, by, command, { at: 1_000 + verdict.event.seq, ...verdict.event })
  return verdict.event.id ?? ''
}

function say(conversation: Conversation, by: string, text = 'x'): string {
  return must(conversation, by, { type: 'send', id: newId(), body: { text } })
}

function codeOf(conversation: Conversation, by: string, command: Command): string {
  const verdict = decide(conversation, by, command)
  return verdict.ok ? 'ok' : verdict.code
}

/** owner, a second owner, an admin, two members. */
function place(kind: 'group' | 'channel', history: 'all' | 'joined' = 'all'): Conversation {
  const conversation = createConversation('owner', {
    id: 'place',
    kind,
    members: ['second', 'admin', 'member', 'other'],
    history,
  })
  must(conversation, 'owner', { type: 'role', user: 'second', role: 'owner' })
  must(conversation, 'owner', { type: 'role', user: 'admin', role: 'admin' })
  return conversation
}

describe('[S9] rights', () => {
  const who = ['owner', 'admin', 'member', 'stranger'] as const
  const rows: [string, 'group' | 'channel', (message: string) => Command, string[]][] = [
    ['send', 'group', () => send(), ['ok', 'ok', 'ok', 'not_found']],
    ['send', 'channel', () => send(), ['ok', 'ok', 'forbidden', 'not_found']],
    [
      'edit of another’s',
      'group',
      (m) => ({ type: 'edit', id: newId(), target: m, body: {} }),
      ['forbidden', 'forbidden', 'forbidden', 'not_found'],
    ],
    [
      'delete of another’s',
      'group',
      (m) => ({ type: 'delete', id: newId(), target: m }),
      ['ok', 'ok', 'forbidden', 'not_found'],
    ],
    [
      'react',
      'channel',
      (m) => ({ type: 'react', id: newId(), target: m, emoji: '+1' }),
      ['ok', 'ok', 'ok', 'not_found'],
    ],
    [
      'add',
      'group',
      () => ({ type: 'add', users: ['new'] }),
      ['ok', 'ok', 'forbidden', 'not_found'],
    ],
    [
      'remove',
      'group',
      () => ({ type: 'remove', user: 'other' }),
      ['ok', 'ok', 'forbidden', 'not_found'],
    ],
    [
      'title',
      'group',
      () => ({ type: 'title', title: 't' }),
      ['ok', 'ok', 'forbidden', 'not_found'],
    ],
    [
      'role',
      'group',
      () => ({ type: 'role', user: 'other', role: 'admin' }),
      ['ok', 'forbidden', 'forbidden', 'not_found'],
    ],
  ]
  test.each(rows)('%s in a %s', (_name, kind, make, expected) => {
    const conversation = place(kind)
    const message = say(conversation, 'second')
    expect(who.map((user) => codeOf(conversation, user, make(message)))).toEqual(expected)
  })

  function send(): Command {
    return { type: 'send', id: newId(), body: { text: 'x' } }
  }

  test('a direct conversation keeps its two, without roles and title', () => {
    const direct = createConversation('a', { id: 'd', kind: 'direct', members: ['b'] })
    const changes: Command[] = [
      { type: 'add', users: ['c'] },
      { type: 'remove', user: 'b' },
      { type: 'remove', user: 'a' },
      { type: 'role', user: 'b', role: 'admin' },
      { type: 'title', title: 'us' },
    ]
    expect(changes.map((change) => codeOf(direct, 'a', change))).toEqual(
      changes.map(() => 'forbidden'),
    )
  })

  test('the last owner hands over before leaving', () => {
    const conversation = place('group')
    const leave = (user: string): Command => ({ type: 'remove', user })
    must(conversation, 'second', leave('second'))
    expect(codeOf(conversation, 'owner', leave('owner'))).toBe('conflict')
    const demote: Command = { type: 'role', user: 'owner', role: 'member' as Role }
    expect(codeOf(conversation, 'owner', demote)).toBe('conflict')
    must(conversation, 'owner', { type: 'role', user: 'member', role: 'owner' })
    must(conversation, 'owner', leave('owner'))
  })
})

test('[S3] an id has one place for ever: the same content the first, other content none', () => {
  const conversation = place('group')
  const command: Command = { type: 'send', id: newId(), body: { text: 'x' } }
  must(conversation, 'member', command)
  must(conversation, 'owner', { type: 'remove', user: 'member' })
  expect(decide(conversation, 'member', command)).toMatchObject({ ok: true, duplicate: { seq: 4 } })
  const other: Command = { ...command, body: { text: 'y' } }
  expect(codeOf(conversation, 'owner', command)).toBe('id_conflict')
  expect(codeOf(conversation, 'owner', other)).toBe('id_conflict')
  expect(codeOf(conversation, 'member', other)).toBe('not_found')
})

test('[S10][B6] a deleted message is no target, and reads show neither it nor its edits', () => {
  const conversation = place('group')
  const message = say(conversation, 'member')
  must(conversation, 'member', { type: 'edit', id: newId(), target: message, body: { text: 'y' } })
  must(conversation, 'member', { type: 'delete', id: newId(), target: message })
  const react: Command = { type: 'react', id: newId(), target: message, emoji: '+1' }
  expect(codeOf(conversation, 'owner', react)).toBe('not_found')
  const [, , , sent, edited] = eventsFor(conversation, 'owner')
  expect([sent?.body, edited?.body]).toEqual([undefined, undefined])
  const before = conversation.events[3]
  expect(before && asRead(conversation, before, 5).body).toEqual({ text: 'x' })
  expect(messagesFor(conversation, 'owner')).toEqual([
    { id: message, seq: 4, sender: 'member', at: 1004, deleted: true, reactions: [] },
  ])
})

test('[S11][H13] a reaction once more, or taken away twice, changes nothing', () => {
  const conversation = place('group')
  const message = say(conversation, 'member')
  const react = (user: string, remove?: true) =>
    must(conversation, user, {
      type: 'react',
      id: newId(),
      target: message,
      emoji: '+1',
      ...(remove && { remove }),
    })
  const reactions = () => messagesFor(conversation, 'owner')[0]?.reactions
  react('owner')
  react('owner')
  react('member')
  expect(reactions()).toEqual([{ emoji: '+1', count: 2, mine: true }])
  react('owner', true)
  react('owner', true)
  expect(reactions()).toEqual([{ emoji: '+1', count: 1, mine: false }])
})

test('[Y2][G6] who joins where `history` is `joined` sees what follows, and nothing of a time outside', () => {
  const conversation = place('group', 'joined')
  const message = say(conversation, 'owner')
  must(conversation, 'owner', { type: 'remove', user: 'member' })
  say(conversation, 'owner')
  must(conversation, 'owner', { type: 'add', users: ['member'] })
  expect(eventsFor(conversation, 'member').map((event) => event.seq)).toEqual([7])
  const seen = conversation.events.filter((event) => mayHaveSeen(conversation, 'member', event.seq))
  expect(seen.map((event) => event.seq)).toEqual([1, 2, 3, 4, 5, 7])
  const edit: Command = { type: 'react', id: newId(), target: message, emoji: '+1' }
  expect(codeOf(conversation, 'member', edit)).toBe('not_found')
})

test('[P4][S13][H12] positions go forward, not past the head, and unread are others’ messages behind them', () => {
  const conversation = place('group')
  const first = say(conversation, 'owner')
  say(conversation, 'owner')
  expect(unreadOf(conversation, 'member')).toBe(2)
  must(conversation, 'owner', { type: 'delete', id: newId(), target: first })
  expect(unreadOf(conversation, 'member')).toBe(1)
  expect(read(conversation, 'member', 99)).toBe(true)
  expect(conversation.members.get('member')?.read).toBe(6)
  read(conversation, 'member', 2)
  expect(conversation.members.get('member')?.read).toBe(6)
  say(conversation, 'member')
  expect([unreadOf(conversation, 'member'), unreadOf(conversation, 'owner')]).toEqual([0, 1])
  expect(read(conversation, 'stranger', 1)).toBe(false)
})
