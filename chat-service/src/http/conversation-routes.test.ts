import { channels, encodeProjected } from '@parley/proto/fan-out'
import { directConversationId, newId } from '@parley/proto/ids'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  openTestWorld,
  type Person,
  type StubReply,
  storeConversation,
  storeEvents,
  type TestWorld,
} from './test-world.ts'

let world: TestWorld
let ada: Person
let bob: Person
let eve: Person
beforeAll(async () => {
  world = await openTestWorld()
  ada = await world.person('ada')
  bob = await world.person('bob')
  eve = await world.person('eve')
}, 60_000)
afterAll(() => world?.close())
beforeEach(() => {
  world.writer.drafts.length = 0
  world.writer.answer = () => ({ code: 'internal', message: 'this test set no answer' })
})

const create = (who: Person, payload: object) =>
  world.call(who, { method: 'POST', url: '/v1/conversations', payload })

/** Accepts a creation, and stores it as storage-worker will: a little later, with a notice. */
function acceptCreations(reply: StubReply = { seq: 1, at: 5 }): void {
  world.writer.answer = (draft) => {
    if (draft.type !== 'create') return { code: 'internal', message: 'only creations' }
    const { conversation: id, kind, history, members } = draft
    const stored = { id, kind, history, head: 1, members: members.map((user) => ({ user })) }
    setImmediate(async () => {
      await storeConversation(
        world.database,
        draft.title === undefined ? stored : { ...stored, title: draft.title },
      ).catch(() => {})
      await world.bus.publish(channels.projected(1), encodeProjected(new Map([[id, 1]])))
    })
    return reply
  }
}

test('[H6] [H7] a group is made with the caller in it, and answered once reads show it', async () => {
  acceptCreations()
  const id = newId()
  const members = [eve.id, bob.id, bob.id]
  const made = await create(ada, { id, kind: 'group', members, title: 'Engines' })
  expect([made.status, made.body]).toEqual([
    201,
    {
      conversation: {
        id,
        kind: 'group',
        title: 'Engines',
        history: 'all',
        head: 1,
        from: 1,
        role: 'member',
        memberCount: 3,
        members: [ada.id, bob.id, eve.id].toSorted().map((user) => ({ user, role: 'member' })),
      },
    },
  ])
  expect(world.writer.drafts).toEqual([
    {
      type: 'create',
      id,
      conversation: id,
      sender: ada.id,
      kind: 'group',
      title: 'Engines',
      history: 'all',
      members: [ada.id, bob.id, eve.id].toSorted(),
    },
  ])
  const read = await world.call(bob, { url: `/v1/conversations/${id}` })
  expect([read.status, read.body]).toEqual([200, made.body])
})

test('[G2] the same creation again is 200 with the conversation as it is', async () => {
  acceptCreations({ seq: 1, at: 5, duplicate: true })
  const id = newId()
  const made = await create(ada, { id, kind: 'group', members: [bob.id] })
  expect([made.status, made.body.conversation.id]).toEqual([200, id])
})

test('[H9] without an id, title or history the server has its own', async () => {
  acceptCreations()
  const made = await create(ada, { kind: 'channel', members: [], history: null, title: null })
  expect(made.status).toBe(201)
  expect(made.body.conversation).toMatchObject({ kind: 'channel', history: 'all', memberCount: 1 })
  expect(made.body.conversation).not.toHaveProperty('title')
  const joined = await create(ada, { kind: 'group', members: [], history: 'joined' })
  expect(joined.body.conversation.history).toBe('joined')
})

test('a direct conversation is the same for its two users, and each command has its own id', async () => {
  acceptCreations()
  const id = directConversationId(ada.id, bob.id)
  const first = await create(ada, { kind: 'direct', members: [bob.id] })
  expect([first.status, first.body.conversation.id]).toEqual([201, id])
  acceptCreations({ seq: 1, at: 5, duplicate: true })
  const second = await create(bob, { id, kind: 'direct', members: [ada.id, bob.id] })
  expect([second.status, second.body.conversation.id]).toEqual([200, id])
  const [a, b] = world.writer.drafts
  expect(a?.id).not.toBe(b?.id)
  expect(a).toMatchObject({ conversation: id, members: [ada.id, bob.id].toSorted() })
})

test('[H6] what cannot be made is 400 invalid, and nothing is written', async () => {
  const cases: object[] = [
    {},
    { kind: 'group' },
    { members: [] },
    { kind: 'party', members: [] },
    { kind: 'group', members: bob.id },
    { kind: 'group', members: ['bob'] },
    { kind: 'group', members: [bob.id.toUpperCase()] },
    { kind: 'group', members: [null] },
    { kind: 'group', members: Array.from({ length: 501 }, () => bob.id) },
    { kind: 'group', members: [], title: '' },
    { kind: 'group', members: [], title: 'a'.repeat(129) },
    { kind: 'group', members: [], title: 'a\nb' },
    { kind: 'group', members: [], title: 5 },
    { kind: 'group', members: [], history: 'some' },
    { kind: 'group', members: [], id: 'x' },
    { kind: 'group', members: [], id: directConversationId(ada.id, bob.id) },
    { kind: 'direct', members: [] },
    { kind: 'direct', members: [ada.id] },
    { kind: 'direct', members: [bob.id, eve.id] },
    { kind: 'direct', members: [bob.id], id: newId() },
    { kind: 'direct', members: [bob.id], title: 'Us' },
  ]
  for (const payload of cases) {
    const { status, body } = await create(ada, payload)
    expect([status, body.code], JSON.stringify(payload)).toEqual([400, 'invalid'])
  }
  const stranger = newId()
  const unknown = await create(ada, { kind: 'group', members: [bob.id, stranger] })
  expect([unknown.status, unknown.body.code]).toEqual([400, 'invalid'])
  expect(unknown.body.detail).toContain(stranger)
  expect(world.writer.drafts).toEqual([])
})

test('[H2] refusals of the log become problems with the status of their code', async () => {
  const conversation = newId()
  const refusals: [StubReply & { code: string }, number, string | undefined][] = [
    [{ code: 'invalid', message: 'm' }, 400, undefined],
    [{ code: 'forbidden', message: 'm' }, 403, undefined],
    [{ code: 'not_found', message: 'm' }, 404, undefined],
    [{ code: 'conflict', message: 'm' }, 409, undefined],
    [{ code: 'id_conflict', message: 'm' }, 409, undefined],
    [{ code: 'too_large', message: 'm' }, 413, undefined],
    [{ code: 'rate_limited', message: 'm', retryAfterMs: 1_500 }, 429, '2'],
    [{ code: 'unavailable', message: 'm' }, 503, '1'],
    [{ code: 'overloaded', message: 'm', retryAfterMs: 10 }, 503, '1'],
    [{ code: 'internal', message: 'm' }, 500, undefined],
  ]
  const writes = [
    ['POST', `/v1/conversations/${conversation}/messages`, { id: newId(), body: { text: 'x' } }],
    ['POST', `/v1/conversations/${conversation}/members`, { members: [bob.id] }],
    ['DELETE', `/v1/conversations/${conversation}/members/${bob.id}`, undefined],
    ['PATCH', `/v1/conversations/${conversation}/members/${bob.id}`, { role: 'admin' }],
    ['PATCH', `/v1/conversations/${conversation}`, { title: 'T' }],
    ['POST', '/v1/conversations', { kind: 'group', members: [bob.id] }],
  ] as const
  for (const [method, url, payload] of writes) {
    for (const [refusal, status, retryAfter] of refusals) {
      world.writer.answer = () => refusal
      const answer = await world.call(ada, payload ? { method, url, payload } : { method, url })
      expect([answer.status, answer.body.code], url).toEqual([status, refusal.code])
      expect(answer.headers['retry-after']).toBe(retryAfter)
    }
    world.writer.answer = () => ({ ok: false, code: 'overloaded', message: 'm', retryAfterMs: 500 })
    const full = await world.call(ada, payload ? { method, url, payload } : { method, url })
    expect([full.status, full.body.retryAfterMs]).toEqual([503, 500])
  }
})

test('[H7] members are added, changed and removed by commands, each answered once reads show it', async () => {
  const id = newId()
  const members = [{ user: ada.id, role: 'owner' }, { user: bob.id }]
  await storeConversation(world.database, { id, head: 1, members })
  let head = 1
  world.writer.answer = () => {
    head += 1
    const seq = head
    setImmediate(async () => {
      await world.database.transaction((sql) =>
        sql.query('update conversations set head = $2 where id = $1', [id, seq]),
      )
      await world.bus.publish(channels.projected(3), encodeProjected(new Map([[id, seq]])))
    })
    return { seq, at: 5 }
  }
  const url = `/v1/conversations/${id}`
  const added = await world.call(ada, {
    method: 'POST',
    url: `${url}/members`,
    payload: { members: [eve.id, eve.id] },
  })
  expect([added.status, added.body.conversation.head]).toEqual([200, 2])
  const own = newId()
  await world.call(ada, {
    method: 'POST',
    url: `${url}/members`,
    payload: { id: own, members: [eve.id] },
  })
  const role = await world.call(ada, {
    method: 'PATCH',
    url: `${url}/members/${bob.id}`,
    payload: { role: 'admin' },
  })
  expect([role.status, role.body.conversation.head]).toEqual([200, 4])
  const titled = await world.call(ada, { method: 'PATCH', url, payload: { title: 'New' } })
  expect([titled.status, titled.body.conversation.head]).toEqual([200, 5])
  const left = await world.call(bob, { method: 'DELETE', url: `${url}/members/${bob.id}` })
  expect([left.status, left.body]).toEqual([204, ''])
  const scope = { conversation: id, sender: ada.id }
  expect(world.writer.drafts).toEqual([
    { ...scope, type: 'add', id: expect.any(String), users: [eve.id] },
    { ...scope, type: 'add', id: own, users: [eve.id] },
    { ...scope, type: 'role', id: expect.any(String), user: bob.id, role: 'admin' },
    { ...scope, type: 'update', id: expect.any(String), title: 'New' },
    { ...scope, sender: bob.id, type: 'remove', id: expect.any(String), user: bob.id },
  ])
})

test('changes of members that are none are 400 invalid', async () => {
  const url = `/v1/conversations/${newId()}`
  const cases = [
    ['POST', `${url}/members`, {}],
    ['POST', `${url}/members`, { members: [] }],
    ['POST', `${url}/members`, { members: ['x'] }],
    ['POST', `${url}/members`, { members: [newId()] }],
    ['POST', `${url}/members`, { members: [bob.id], id: 'f47ac10b-58cc-4372-a567-0e02b2c3d479' }],
    ['PATCH', `${url}/members/${bob.id}`, {}],
    ['PATCH', `${url}/members/${bob.id}`, { role: 'king' }],
    ['PATCH', `${url}/members/${bob.id}`, { role: null }],
    ['PATCH', url, {}],
    ['PATCH', url, { title: '\u0000' }],
  ] as const
  for (const [method, where, payload] of cases) {
    const { status, body } = await world.call(ada, { method, url: where, payload })
    expect([status, body.code], JSON.stringify(payload)).toEqual([400, 'invalid'])
  }
  expect(world.writer.drafts).toEqual([])
})

test('a message is sent by the rules of the frame and answered by its ack', async () => {
  const conversation = newId()
  const id = newId()
  const send = (payload: object) =>
    world.call(ada, {
      method: 'POST',
      url: `/v1/conversations/${conversation}/messages`,
      payload,
    })
  world.writer.answer = () => ({ seq: 7, at: 1_000 })
  const body = { text: 'Hello!', replyTo: null, mentions: [bob.id, bob.id], unknown: 1 }
  const sent = await send({ id, body, retry: null, ref: 'x' })
  expect([sent.status, sent.body]).toEqual([200, { id, seq: 7, at: 1_000 }])
  expect(world.writer.drafts).toEqual([
    {
      type: 'send',
      id,
      conversation,
      sender: ada.id,
      body: { text: 'Hello!', mentions: [bob.id] },
    },
  ])
  world.writer.answer = () => ({ seq: 7, at: 1_000, duplicate: true })
  expect((await send({ id, body: { text: 'Hello!' } })).body).toEqual({
    id,
    seq: 7,
    at: 1_000,
    duplicate: true,
  })
})

test('a message that is none is refused with the codes of the frame, and nothing is written', async () => {
  const id = newId()
  const text = { text: 'x' }
  const cases: [object, number, string][] = [
    [{}, 400, 'invalid'],
    [{ id }, 400, 'invalid'],
    [{ body: text }, 400, 'invalid'],
    [{ id: null, body: text }, 400, 'invalid'],
    [{ id, body: null }, 400, 'invalid'],
    [{ id, body: 'x' }, 400, 'invalid'],
    [{ id, body: [] }, 400, 'invalid'],
    [{ id, body: {} }, 400, 'invalid'],
    [{ id, body: { text: '' } }, 400, 'invalid'],
    [{ id, body: { text: 5 } }, 400, 'invalid'],
    [{ id, body: { text: 'a'.repeat(8_001) } }, 400, 'invalid'],
    [{ id, body: { text: '\ud800' } }, 400, 'invalid'],
    [{ id, body: { text: 'x', mentions: ['bob'] } }, 400, 'invalid'],
    [{ id: 'x', body: text }, 400, 'invalid'],
    [{ id: id.toUpperCase(), body: text }, 400, 'invalid'],
    [{ id: 'f47ac10b-58cc-4372-a567-0e02b2c3d479', body: text }, 400, 'invalid'],
    [{ id, body: { text: '漢'.repeat(8_000) } }, 413, 'too_large'],
  ]
  for (const [payload, status, code] of cases) {
    const answer = await world.call(ada, {
      method: 'POST',
      url: `/v1/conversations/${newId()}/messages`,
      payload,
    })
    expect([answer.status, answer.body.code], JSON.stringify(payload).slice(0, 80)).toEqual([
      status,
      code,
    ])
  }
  expect(world.writer.drafts).toEqual([])
})

test('[G6] to one outside it a conversation is 404 not_found, there or not', async () => {
  const id = newId()
  await storeConversation(world.database, { id, head: 1, members: [{ user: ada.id }] })
  await storeEvents(world.database, [
    { conversation: id, seq: 1, id: newId(), kind: 1, sender: ada.id, body: { text: 'secret' } },
  ])
  for (const what of ['', '/events', '/messages']) {
    expect((await world.call(ada, { url: `/v1/conversations/${id}${what}` })).status).toBe(200)
    const outside = await world.call(eve, { url: `/v1/conversations/${id}${what}` })
    const nowhere = await world.call(eve, { url: `/v1/conversations/${newId()}${what}` })
    expect([outside.status, outside.body.code]).toEqual([404, 'not_found'])
    expect(outside.body).toEqual(nowhere.body)
  }
})

test('[H4] members come 500 at a time, each once', async () => {
  const id = newId()
  const users = Array.from({ length: 1_200 }, () => newId())
  const members = [ada.id, ...users].map((user) => ({ user }))
  await storeConversation(world.database, { id, head: 1, members })
  const seen: string[] = []
  let cursor = ''
  for (const expected of [500, 500, 201]) {
    const { body } = await world.call(ada, { url: `/v1/conversations/${id}${cursor}` })
    expect(body.conversation.memberCount).toBe(1_201)
    expect(body.conversation.members).toHaveLength(expected)
    seen.push(...body.conversation.members.map((m: { user: string }) => m.user))
    cursor = `?cursor=${body.conversation.next}`
  }
  expect(cursor).toBe('?cursor=undefined')
  expect(seen).toEqual([ada.id, ...users].toSorted())
})
