import { eventKindCodes } from '@parley/proto/event-frame'
import { newId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  openTestWorld,
  type Person,
  type StoredEvent,
  storeConversation,
  storeEvents,
  type TestWorld,
} from './test-world.ts'

let world: TestWorld
let ada: Person
let bob: Person
beforeAll(async () => {
  world = await openTestWorld()
  ada = await world.person('ada')
  bob = await world.person('bob')
}, 60_000)
afterAll(() => world?.close())

/** A conversation of Ada and Bob with one event a body; an absent body stands for a deleted message. */
async function conversationOf(
  bodies: (object | undefined)[],
  options: { from?: number; read?: number; lastAt?: number; kinds?: number[] } = {},
): Promise<{ id: string; events: StoredEvent[] }> {
  const id = newId()
  const { from = 1, read = 0, lastAt = 1_000 } = options
  const members = [
    { user: ada.id, role: 'owner' },
    { user: bob.id, from, read },
  ]
  const events = bodies.map((body, i) => ({
    conversation: id,
    seq: i + 1,
    id: newId(),
    kind: options.kinds?.[i] ?? eventKindCodes.message,
    sender: i % 2 === 0 ? ada.id : bob.id,
    at: 1_000 + i,
    ...(body === undefined ? {} : { body }),
  }))
  await storeConversation(world.database, { id, head: bodies.length, lastAt, members })
  await storeEvents(world.database, events)
  return { id, events }
}

const texts = (count: number, text = (i: number) => `m${i + 1}`) =>
  Array.from({ length: count }, (_, i) => ({ text: text(i) }))

const read = (who: Person, id: string, what: string) =>
  world.call(who, { url: `/v1/conversations/${id}/${what}` })

const seqs = (entries: { seq: number }[]) => entries.map((e) => e.seq)

test('[G3] [H8] [Y1] [Y3] events are the event frames, ascending, page by page, without a hole', async () => {
  const { id, events } = await conversationOf(texts(7), { lastAt: 1_006 })
  const all = await read(ada, id, 'events')
  expect([all.status, all.body]).toEqual([
    200,
    {
      events: events.map((e) => ({
        type: 'event',
        conversation: id,
        seq: e.seq,
        id: e.id,
        kind: 'message',
        sender: e.sender,
        at: e.at,
        body: e.body,
      })),
      head: 7,
      from: 1,
      more: false,
    },
  ])
  const first = await read(ada, id, 'events?limit=3')
  expect([seqs(first.body.events), first.body.more]).toEqual([[1, 2, 3], true])
  const second = await read(ada, id, 'events?after=3&limit=3')
  expect([seqs(second.body.events), second.body.more]).toEqual([[4, 5, 6], true])
  const third = await read(ada, id, 'events?after=6&limit=3')
  expect([seqs(third.body.events), third.body.more]).toEqual([[7], false])
  for (const after of [7, 8, Number.MAX_SAFE_INTEGER]) {
    const none = await read(ada, id, `events?after=${after}`)
    expect(none.body).toEqual({ events: [], head: 7, from: 1, more: false })
  }
})

test('[H8] events of every kind come with their body and target', async () => {
  const target = newId()
  const { id } = await conversationOf([{ kind: 'group', users: [ada.id, bob.id] }], {
    kinds: [eventKindCodes.created],
  })
  await storeEvents(world.database, [
    {
      conversation: id,
      seq: 2,
      id: newId(),
      kind: eventKindCodes.reaction,
      sender: bob.id,
      target,
      body: { emoji: '👍' },
    },
    { conversation: id, seq: 3, id: newId(), kind: eventKindCodes.delete, sender: bob.id, target },
  ])
  await world.database.transaction((sql) =>
    sql.query('update conversations set head = 3 where id = $1', [id]),
  )
  const { body } = await read(ada, id, 'events')
  expect(body.events).toMatchObject([
    { kind: 'created', body: { kind: 'group', users: [ada.id, bob.id] } },
    { kind: 'reaction', body: { emoji: '👍' }, target },
    { kind: 'delete', target },
  ])
  expect(body.events[0]).not.toHaveProperty('target')
  expect(body.events[2]).not.toHaveProperty('body')
  expect((await read(ada, id, 'messages')).body).toEqual({ messages: [], more: false })
})

test('[G6] [Y2] nothing before `from` is shown, by events or by messages', async () => {
  const { id } = await conversationOf(texts(9), { from: 5 })
  const events = await read(bob, id, 'events')
  expect(seqs(events.body.events)).toEqual([5, 6, 7, 8, 9])
  expect(events.body).toMatchObject({ head: 9, from: 5, more: false })
  expect(seqs((await read(bob, id, 'events?after=2&limit=2')).body.events)).toEqual([5, 6])
  const messages = await read(bob, id, 'messages')
  expect([seqs(messages.body.messages), messages.body.more]).toEqual([[9, 8, 7, 6, 5], false])
  const earlier = await read(bob, id, 'messages?before=5')
  expect(earlier.body).toEqual({ messages: [], more: false })
  expect(seqs((await read(ada, id, 'messages?before=5')).body.messages)).toEqual([4, 3, 2, 1])
})

test('[H8] [H13] messages come newest first in their present state; a deleted one has no body', async () => {
  const { id, events } = await conversationOf([{ text: 'one' }, undefined, { text: 'three' }], {
    kinds: [1, 1, 1],
  })
  const { body } = await read(bob, id, 'messages')
  expect(body).toEqual({
    messages: [
      {
        id: events[2]?.id,
        seq: 3,
        sender: ada.id,
        at: 1_002,
        body: { text: 'three' },
        reactions: [],
      },
      { id: events[1]?.id, seq: 2, sender: bob.id, at: 1_001, deleted: true, reactions: [] },
      {
        id: events[0]?.id,
        seq: 1,
        sender: ada.id,
        at: 1_000,
        body: { text: 'one' },
        reactions: [],
      },
    ],
    more: false,
  })
  const first = await read(bob, id, 'messages?limit=2')
  expect([seqs(first.body.messages), first.body.more]).toEqual([[3, 2], true])
  const rest = await read(bob, id, 'messages?limit=2&before=2')
  expect([seqs(rest.body.messages), rest.body.more]).toEqual([[1], false])
})

test('[G8] [H4] a page holds 500 entries', async () => {
  const { id } = await conversationOf(texts(600))
  const events = await read(ada, id, 'events?limit=500')
  expect([events.body.events.length, events.body.more]).toEqual([500, true])
  const messages = await read(ada, id, 'messages?limit=500')
  expect([messages.body.messages.length, messages.body.more]).toEqual([500, true])
  expect((await read(ada, id, 'events')).body.events).toHaveLength(limits.defaultPageEntries)
})

test('[G8] [H4] a page holds 256 KiB, whatever its texts are, and never none of some', async () => {
  const kinds: [string, (i: number) => string][] = [
    ['plain', () => 'a'.repeat(8_000)],
    ['three bytes each', () => '漢'.repeat(5_000)],
    ['six bytes each in JSON', () => '\u0001'.repeat(8_000)],
    ['uneven', (i) => 'a'.repeat((i * 997) % 8_000 || 1)],
  ]
  for (const [name, text] of kinds) {
    const { id } = await conversationOf(texts(80, text))
    const seen: number[] = []
    for (let pages = 0, after = 0; pages < 80; pages++) {
      const { body } = await read(ada, id, `events?limit=500&after=${after}`)
      expect(Buffer.byteLength(JSON.stringify(body)), name).toBeLessThanOrEqual(256 * 1024)
      expect(body.events.length).toBeGreaterThan(0)
      seen.push(...seqs(body.events))
      after = seen.at(-1) as number
      if (!body.more) break
    }
    expect(seen).toEqual(Array.from({ length: 80 }, (_, i) => i + 1))
    const back: number[] = []
    for (let pages = 0, before = 81; pages < 80; pages++) {
      const { body } = await read(ada, id, `messages?limit=500&before=${before}`)
      expect(Buffer.byteLength(JSON.stringify(body)), name).toBeLessThanOrEqual(256 * 1024)
      expect(body.messages.length).toBeGreaterThan(0)
      back.push(...seqs(body.messages))
      before = back.at(-1) as number
      if (!body.more) break
    }
    expect(back).toEqual(seen.toReversed())
  }
})

test('[H12] one’s conversations come with the latest event first, what is unread and the last message', async () => {
  const carl = await world.person('carl')
  const other = newId()
  const made: string[] = []
  for (let i = 0; i < 5; i++) {
    const id = newId()
    made.push(id)
    await storeConversation(world.database, {
      id,
      head: 4,
      lastAt: 5_000 + (i % 3),
      ...(i === 0 ? { title: 'First' } : {}),
      members: [{ user: carl.id, role: 'admin', read: 2, from: i === 4 ? 4 : 1 }, { user: other }],
    })
    await storeEvents(world.database, [
      { conversation: id, seq: 1, id: newId(), kind: 1, sender: other, body: { text: '1' } },
      { conversation: id, seq: 2, id: newId(), kind: 1, sender: other, body: { text: '2' } },
      { conversation: id, seq: 3, id: newId(), kind: 1, sender: other, body: { text: '3' } },
      { conversation: id, seq: 4, id: newId(), kind: 1, sender: carl.id, body: { text: '4' } },
    ])
  }
  const order = made
    .map((id, i) => ({ id, lastAt: 5_000 + (i % 3) }))
    .toSorted((a, b) => b.lastAt - a.lastAt || (a.id < b.id ? 1 : -1))
    .map((c) => c.id)
  const all = await world.call(carl, { url: '/v1/conversations' })
  expect(all.status).toBe(200)
  expect(all.body.next).toBeUndefined()
  expect(all.body.conversations.map((c: { id: string }) => c.id)).toEqual(order)
  expect(all.body.conversations.find((c: { id: string }) => c.id === made[0])).toEqual({
    id: made[0],
    kind: 'group',
    title: 'First',
    head: 4,
    from: 1,
    read: 2,
    unread: 1,
    role: 'admin',
    lastMessage: {
      id: expect.any(String),
      seq: 4,
      sender: carl.id,
      at: 4,
      body: { text: '4' },
      reactions: [],
    },
  })
  const late = all.body.conversations.find((c: { id: string }) => c.id === made[4])
  expect(late).toMatchObject({ from: 4, unread: 0 })

  const seen: string[] = []
  let query = '?limit=2'
  for (let pages = 0; pages < 5; pages++) {
    const { body } = await world.call(carl, { url: `/v1/conversations${query}` })
    expect(body.conversations.length).toBeLessThanOrEqual(2)
    seen.push(...body.conversations.map((c: { id: string }) => c.id))
    if (body.next === undefined) break
    query = `?limit=2&cursor=${body.next}`
    /* What moves to the front meanwhile neither comes twice nor hides another. */
    await world.database.transaction((sql) =>
      sql.query('update conversations set last_at = 9000 where id = $1', [seen[0]]),
    )
  }
  expect(seen).toEqual(order)
})

test('[H12] a conversation without messages has no last one; deleted ones are not unread', async () => {
  const dora = await world.person('dora')
  const other = newId()
  const empty = newId()
  const deleted = newId()
  const members = [{ user: dora.id }, { user: other }]
  await storeConversation(world.database, { id: empty, head: 1, lastAt: 2, members })
  await storeConversation(world.database, { id: deleted, head: 1, lastAt: 1, members })
  await storeEvents(world.database, [
    { conversation: empty, seq: 1, id: newId(), kind: 5, sender: other, body: {} },
    { conversation: deleted, seq: 1, id: newId(), kind: 1, sender: other },
  ])
  const { body } = await world.call(dora, { url: '/v1/conversations' })
  expect(body.conversations[0]).toMatchObject({ id: empty, unread: 0 })
  expect(body.conversations[0]).not.toHaveProperty('lastMessage')
  expect(body.conversations[1]).toMatchObject({
    id: deleted,
    unread: 0,
    lastMessage: { deleted: true },
  })
})

test('[H12] unread is exact up to 10,000, and stays at that number beyond', async () => {
  const gina = await world.person('gina')
  const id = newId()
  await storeConversation(world.database, { id, head: 9_999, members: [{ user: gina.id }] })
  const store = (from: number, to: number) =>
    world.database.transaction(async (sql) => {
      await sql.query(
        `insert into messages (conversation_id, seq, id, kind, sender, at, body, hash, epoch, command_offset, command_index)
         select $1, n, gen_random_uuid(), 1, $2, n, '\\x81a474657874a178', '', 1, 0, 0
         from generate_series($3::int, $4::int) n`,
        [id, newId(), from, to],
      )
      await sql.query('update conversations set head = $2 where id = $1', [id, to])
    })
  const unread = async () =>
    (await world.call(gina, { url: '/v1/conversations' })).body.conversations[0].unread
  await store(1, 9_999)
  expect(await unread()).toBe(9_999)
  await store(10_000, 10_005)
  expect(await unread()).toBe(10_000)
})

test('[G8] [H4] a page of conversations holds 256 KiB, and the next goes on after it', async () => {
  const fred = await world.person('fred')
  const ids: string[] = []
  for (let i = 0; i < 60; i++) {
    const id = newId()
    ids.push(id)
    const members = [{ user: fred.id }]
    await storeConversation(world.database, { id, head: 1, lastAt: 60 - i, members })
    const body = { text: '\u0001'.repeat(8_000) }
    await storeEvents(world.database, [
      { conversation: id, seq: 1, id: newId(), kind: 1, sender: ada.id, body },
    ])
  }
  const seen: string[] = []
  let cursor = ''
  for (let pages = 0; pages < 60; pages++) {
    const { body } = await world.call(fred, { url: `/v1/conversations?limit=500${cursor}` })
    expect(Buffer.byteLength(JSON.stringify(body))).toBeLessThanOrEqual(256 * 1024)
    expect(body.conversations.length).toBeGreaterThan(0)
    seen.push(...body.conversations.map((c: { id: string }) => c.id))
    if (body.next === undefined) break
    cursor = `&cursor=${body.next}`
  }
  expect(seen).toEqual(ids)
})
