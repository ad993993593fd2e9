import { describe, expect, test } from 'vitest'
import { eventually } from '../harness/deadline.ts'
import { directId, uuid4, uuid7 } from '../harness/ids.ts'
import type { Person } from '../harness/people.ts'
import { expectProblem, setUpRoutes } from './calls.ts'

const routes = setUpRoutes()
const create = (as: Person, body: unknown) => routes().ask(as, 'POST', '/v1/conversations', body)
const detail = (as: Person, id: string, query = '') =>
  routes().ask(as, 'GET', `/v1/conversations/${id}${query}`)

describe('POST /v1/conversations', () => {
  test('[H3][H6][H9] a group and a channel: 201, its maker the owner, named or not', async () => {
    const { ann, ben, cleo } = routes()
    const rows = [
      { kind: 'group', members: [ben.id, cleo.id] },
      { kind: 'group', members: [ann.id, ben.id, ben.id, cleo.id], title: '😀'.repeat(128) },
      { kind: 'channel', members: [ben.id, cleo.id], title: 'x', history: 'joined' },
      { kind: 'group', members: [ben.id, cleo.id], title: null, history: null, id: null },
      { kind: 'group', members: [ben.id, cleo.id], history: 'all', id: uuid7(), later: [1] },
    ]
    for (const body of rows) {
      const answer = await create(ann, body)
      expect(answer.status, answer.text).toBe(201)
      const { conversation } = answer.body
      expect(Object.keys(answer.body)).toEqual(['conversation'])
      const { members, ...rest } = conversation
      expect(rest).toEqual({
        id: body.id ?? expect.stringMatching(/^[0-9a-f]{8}-/),
        kind: body.kind,
        ...(body.title ? { title: body.title } : {}),
        history: body.history ?? 'all',
        head: 1,
        from: 1,
        role: 'owner',
        memberCount: 3,
      })
      expect(byUser(members)).toEqual(
        byUser([
          { user: ann.id, role: 'owner' },
          { user: ben.id, role: 'member' },
          { user: cleo.id, role: 'member' },
        ]),
      )
      expect((await detail(ann, conversation.id)).body.conversation).toEqual(conversation)
      expect((await detail(ben, conversation.id)).body.conversation).toEqual({
        ...conversation,
        role: 'member',
      })
    }
  })

  test('[H3][S3] once more with the same id: 200; with other content: id_conflict', async () => {
    const { ann, ben, cleo } = routes()
    const body = { id: uuid7(), kind: 'group', members: [ben.id], title: 'Engines' }
    const made = await create(ann, body)
    expect(made.status).toBe(201)
    const again = await create(ann, body)
    expect([again.status, again.body]).toEqual([200, made.body])
    for (const other of [
      { ...body, title: 'Motors' },
      { ...body, kind: 'channel' },
      { ...body, members: [cleo.id] },
      { ...body, history: 'joined' },
    ]) {
      expectProblem(await create(ann, other), 'id_conflict')
    }
    const stolen = await create(cleo, body)
    expect([404, 409]).toContain(stolen.status)
    expectProblem(stolen, stolen.body.code)
    expect((await detail(ann, body.id)).body).toEqual(made.body)
  })

  test('[N3] a direct one is the same, whoever of the two makes it', async () => {
    const { world, ann, cleo } = routes()
    const other = await world.register()
    const id = directId(ann.id, other.id)
    const first = await create(ann, { kind: 'direct', members: [other.id] })
    expect(first.status).toBe(201)
    expect(first.body.conversation).toMatchObject({ id, kind: 'direct', memberCount: 2 })
    expect(first.body.conversation).not.toHaveProperty('title')
    for (const [as, body] of [
      [other, { kind: 'direct', members: [ann.id] }],
      [other, { kind: 'direct', members: [other.id, ann.id], id }],
      [ann, { kind: 'direct', members: [other.id] }],
    ] as const) {
      const answer = await create(as, body)
      expect([answer.status, answer.body.conversation.id]).toEqual([200, id])
    }
    const bad = [
      { kind: 'direct', members: [other.id], id: uuid7() },
      { kind: 'direct', members: [other.id], id: directId(ann.id, cleo.id) },
      { kind: 'direct', members: [] },
      { kind: 'direct', members: [ann.id] },
      { kind: 'direct', members: [other.id, cleo.id] },
    ]
    for (const body of bad) expectProblem(await create(ann, body), 'invalid')
  })

  test.each<[string, unknown]>([
    ['no kind', { members: [] }],
    ['an unknown kind', { kind: 'party', members: [] }],
    ['a list for a kind', { kind: ['group'], members: [] }],
    ['no members', { kind: 'group' }],
    ['members null', { kind: 'group', members: null }],
    ['members a string', { kind: 'group', members: uuid7() }],
    ['members no UUIDs', { kind: 'group', members: ['ben'] }],
    ['members in upper case', { kind: 'group', members: [uuid7().toUpperCase()] }],
    ['501 members', { kind: 'group', members: Array.from({ length: 501 }, () => uuid7()) }],
    ['an empty title', { kind: 'group', members: [], title: '' }],
    ['a title of 129', { kind: 'group', members: [], title: 'x'.repeat(129) }],
    ['a number for a title', { kind: 'group', members: [], title: 5 }],
    ['half a character in the title', '{"kind":"group","members":[],"title":"\\udc00"}'],
    ['an unknown history', { kind: 'group', members: [], history: 'none' }],
    ['an id that is none', { kind: 'group', members: [], id: 'general' }],
    ['an id of version 4', { kind: 'group', members: [], id: uuid4() }],
    ['an id 6 minutes ahead', { kind: 'group', members: [], id: uuid7(Date.now() + 360_000) }],
  ])('[H1][H5][N2] %s is invalid', async (_name, body) => {
    expectProblem(await create(routes().ann, body), 'invalid')
  })
})

describe('GET /v1/conversations', () => {
  const list = (as: Person, query = '') => routes().ask(as, 'GET', `/v1/conversations${query}`)

  test('[H3][H4] one’s own, the latest event first, in pages', async () => {
    const { world, ann } = routes()
    const reader = await world.register()
    expect((await list(reader)).body).toEqual({ conversations: [] })
    const ids: string[] = []
    for (let i = 0; i < 7; i++) ids.unshift(await world.group(ann, [reader], { title: `${i}` }))
    const socket = await world.connect(ann)
    const oldest = ids.pop() as string
    const { seq, at, id } = await socket.say(oldest, 'now the latest')
    ids.unshift(oldest)
    await eventually('the list is in order', async () => {
      return (await list(reader)).body.conversations[0]?.head === 2
    })
    for (const limit of [1, 3, 7, 500]) {
      const seen: { id: string }[] = []
      for (let query = `?limit=${limit}`; query !== ''; ) {
        const { status, body } = await list(reader, query)
        expect(status).toBe(200)
        expect(body.conversations.length).toBeLessThanOrEqual(limit)
        seen.push(...body.conversations)
        query =
          body.next === undefined ? '' : `?limit=${limit}&cursor=${encodeURIComponent(body.next)}`
      }
      expect(seen.map((entry) => entry.id)).toEqual(ids)
      expect(seen[0]).toEqual({
        id: oldest,
        kind: 'group',
        title: '0',
        head: 2,
        from: 1,
        read: 0,
        unread: 1,
        role: 'member',
        lastMessage: {
          id,
          seq,
          sender: ann.id,
          at,
          body: { text: 'now the latest' },
          reactions: [],
        },
      })
      expect(seen[1]).not.toHaveProperty('lastMessage')
    }
    await socket.close()
  })

  test.each([
    'limit=0',
    'limit=501',
    'limit=-1',
    'limit=1.0',
    'limit=%31%30x',
    'limit=',
    'limit=1&limit=2',
    'cursor=abc',
    'cursor=%00',
  ])('[H1][H4] %s is invalid', async (query) => {
    expectProblem(await list(routes().ann, `?${query}`), 'invalid')
  })
})

describe('GET and PATCH /v1/conversations/:id', () => {
  test('[H7] a title is shown as soon as it is answered', async () => {
    const { world, ann, ben, cleo, ask } = routes()
    const id = await world.group(ann, [ben])
    const patch = (as: Person, body: unknown) => ask(as, 'PATCH', `/v1/conversations/${id}`, body)
    for (const title of ['Engines', '😀'.repeat(128), 'x']) {
      const { status, body } = await patch(ann, { title, unknown: 1 })
      expect([status, body.conversation.title]).toEqual([200, title])
      expect((await detail(ben, id)).body.conversation).toEqual({
        ...body.conversation,
        role: 'member',
      })
    }
    for (const title of ['', 'x'.repeat(129), 5, null, undefined, ['x']]) {
      expectProblem(await patch(ann, { title }), 'invalid')
    }
    expectProblem(await patch(ben, { title: 'mine' }), 'forbidden')
    expectProblem(await patch(cleo, { title: 'mine' }), 'not_found')
    const direct = await world.direct(ann, ben)
    expectProblem(
      await ask(ann, 'PATCH', `/v1/conversations/${direct}`, { title: 'us' }),
      'forbidden',
    )
    expect((await detail(ann, id)).body.conversation).toMatchObject({ title: 'x', head: 4 })
  })

  test('[S9] to one outside it is not there', async () => {
    const { world, ann, ben, cleo } = routes()
    const id = await world.group(ann, [ben])
    expectProblem(await detail(cleo, id), 'not_found')
    expectProblem(await detail(ann, uuid7()), 'not_found')
    expectProblem(await detail(ann, uuid4()), 'not_found')
  })
})

function byUser<T extends { user: string }>(members: readonly T[]): T[] {
  return members.toSorted((a, b) => (a.user < b.user ? -1 : 1))
}
