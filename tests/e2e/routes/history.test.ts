import { describe, expect, test } from 'vitest'
import { eventually } from '../harness/deadline.ts'
import { uuid4, uuid7 } from '../harness/ids.ts'
import type { Person } from '../harness/people.ts'
import { type Answer, expectNoContent, expectProblem, setUpRoutes } from './calls.ts'

const routes = setUpRoutes()
const at = (id: string, what: string) => `/v1/conversations/${id}/${what}`
const post = (as: Person, id: string, body: unknown) =>
  routes().ask(as, 'POST', at(id, 'messages'), body)
const get = (as: Person, id: string, what: string) => routes().ask(as, 'GET', at(id, what))

/** A group of ann's with messages, once reads show them all. */
async function withMessages(texts: readonly string[]) {
  const { world, ann, ben } = routes()
  const id = await world.group(ann, [ben])
  for (const text of texts)
    expect((await post(ann, id, { id: uuid7(), body: { text } })).status).toBe(200)
  await shown(ann, id, texts.length + 1)
  return id
}

const shown = (as: Person, id: string, head: number) =>
  eventually(
    `reads show ${head}`,
    async () => (await get(as, id, 'events?limit=1')).body.head >= head,
  )

describe('POST …/messages', () => {
  test('[S1][S3][H3] answered as `ack`, and once more with `duplicate`', async () => {
    const { world, ann, ben } = routes()
    const conversation = await world.group(ann, [ben])
    const body = { id: uuid7(), body: { text: 'hi', mentions: [ben.id], later: 1 }, later: 1 }
    const first = await post(ben, conversation, body)
    expect([first.status, first.body]).toEqual([
      200,
      { id: body.id, seq: 2, at: expect.any(Number) },
    ])
    const again = await post(ben, conversation, body)
    expect([again.status, again.body]).toEqual([200, { ...first.body, duplicate: true }])
    expectProblem(await post(ann, conversation, body), 'id_conflict')
    expectProblem(await post(ben, conversation, { ...body, body: { text: 'ho' } }), 'id_conflict')
    await shown(ann, conversation, 2)
    const { events } = (await get(ann, conversation, 'events?after=1')).body
    expect(events).toEqual([
      {
        type: 'event',
        conversation,
        seq: 2,
        id: body.id,
        kind: 'message',
        sender: ben.id,
        at: first.body.at,
        body: { text: 'hi', mentions: [ben.id] },
      },
    ])
    expect(Object.keys(events[0])[0]).toBe('type')
  })

  test('[S9] to one outside not_found, in a channel forbidden to members', async () => {
    const { world, ann, ben, cleo } = routes()
    const group = await world.group(ann, [ben])
    const channel = await world.group(ann, [ben], { kind: 'channel' })
    const message = () => ({ id: uuid7(), body: { text: 'x' } })
    expectProblem(await post(cleo, group, message()), 'not_found')
    expectProblem(await post(ann, uuid7(), message()), 'not_found')
    expectProblem(await post(ben, channel, message()), 'forbidden')
    expect((await post(ann, channel, message())).status).toBe(200)
  })

  const good = () => ({ id: uuid7(), body: { text: 'x' } })
  test.each<[string, () => unknown, string]>([
    ['no id', () => ({ ...good(), id: undefined }), 'invalid'],
    ['id null', () => ({ ...good(), id: null }), 'invalid'],
    ['an id of version 4', () => ({ ...good(), id: uuid4() }), 'invalid'],
    ['an id 6 minutes ahead', () => ({ ...good(), id: uuid7(Date.now() + 360_000) }), 'invalid'],
    ['no body', () => ({ id: uuid7() }), 'invalid'],
    ['text for a body', () => ({ ...good(), body: 'x' }), 'invalid'],
    ['an empty body', () => ({ ...good(), body: {} }), 'invalid'],
    ['an empty text', () => ({ ...good(), body: { text: '' } }), 'invalid'],
    ['mentions alone', () => ({ ...good(), body: { mentions: [uuid7()] } }), 'invalid'],
    ['a number for text', () => ({ ...good(), body: { text: 5 } }), 'invalid'],
    ['text of 8,001', () => ({ ...good(), body: { text: 'x'.repeat(8_001) } }), 'invalid'],
    ['a body over 16 KiB', () => ({ ...good(), body: { text: '€'.repeat(5_500) } }), 'too_large'],
    ['replyTo no UUID', () => ({ ...good(), body: { text: 'x', replyTo: 'that' } }), 'invalid'],
    ['half a character', () => `{"id":"${uuid7()}","body":{"text":"\\ud800"}}`, 'invalid'],
  ])('[B1][B2][B4][N2] %s is refused', async (_name, make, code) => {
    const { world, ann } = routes()
    const conversation = await world.group(ann, [])
    expectProblem(await post(ann, conversation, make()), code)
    expect((await get(ann, conversation, 'events')).body.head).toBe(1)
  })
})

describe('GET …/events', () => {
  test('[Y1][Y3][H4] ascending, in pages, 100 when nothing is asked', async () => {
    const { ann, ben } = routes()
    const id = await withMessages(Array.from({ length: 120 }, (_, i) => `${i}`))
    const seqs = (answer: Answer) => answer.body.events.map((event: { seq: number }) => event.seq)
    const range = (first: number, last: number) =>
      Array.from({ length: last - first + 1 }, (_, i) => first + i)
    for (const [query, wanted, more] of [
      ['', range(1, 100), true],
      ['?after=100', range(101, 121), false],
      ['?after=0&limit=500', range(1, 121), false],
      ['?limit=121', range(1, 121), false],
      ['?limit=120', range(1, 120), true],
      ['?after=119&limit=1', [120], true],
      ['?after=120&limit=1', [121], false],
      ['?after=121', [], false],
      ['?after=9007199254740991', [], false],
    ] as const) {
      const answer = await get(ben, id, `events${query}`)
      expect([answer.status, seqs(answer)], query).toEqual([200, wanted])
      const { events: _events, ...rest } = answer.body
      expect(rest, query).toEqual({ head: 121, from: 1, more })
    }
    expectProblem(await get(routes().cleo, id, 'events'), 'not_found')
    expectProblem(await get(ann, uuid7(), 'events'), 'not_found')
  })

  test('[H4] a page is at most 256 KiB', async () => {
    const { ann } = routes()
    const id = await withMessages(Array.from({ length: 40 }, () => '😀'.repeat(4_000)))
    let after = 0
    for (let pages = 0; ; pages++) {
      const answer = await get(ann, id, `events?after=${after}&limit=500`)
      expect(Buffer.byteLength(answer.text)).toBeLessThanOrEqual(262_144)
      expect(answer.body.events[0].seq).toBe(after + 1)
      after = answer.body.events.at(-1).seq
      if (!answer.body.more) {
        expect([after, pages]).toEqual([41, 2])
        break
      }
    }
    const messages = await get(ann, id, 'messages?limit=500')
    expect(Buffer.byteLength(messages.text)).toBeLessThanOrEqual(262_144)
    expect(messages.body.more).toBe(true)
    expect(messages.body.messages.length).toBeGreaterThan(10)
  })

  test.each([
    'after=-1',
    'after=1.0',
    'after=abc',
    'after=',
    'after=9007199254740992',
    'after=01',
    'limit=0',
    'limit=501',
    'limit=1e2',
    'limit=+5',
    'after=1&after=2',
  ])('[H1][H4] %s is invalid', async (query) => {
    const { world, ann } = routes()
    const id = await world.group(ann, [])
    expectProblem(await get(ann, id, `events?${query}`), 'invalid')
  })
})

describe('GET …/messages', () => {
  test('[H13][H8][B6][S11] newest first, in their present state', async () => {
    const { world, ann, ben } = routes()
    const conversation = await world.group(ann, [ben], { title: 'no message' })
    const socket = await world.connect(ann)
    const mine = await world.connect(ben)
    const said: { id: string; seq: number; at: number }[] = []
    for (const text of ['plain', 'edited', 'deleted', 'loved'])
      said.push(await socket.say(conversation, text))
    const [plain, edited, deleted, loved] = said.map(({ id, seq, at }) => ({
      id,
      seq,
      at,
      sender: ann.id,
    }))
    const change = async (from: typeof socket, frame: Record<string, unknown>) => {
      const id = uuid7()
      from.post({ id, conversation, ...frame } as never)
      return from.wait('ack', (f) => f.id === id)
    }
    const target = (message: { id: string } | undefined) => message?.id as string
    await change(socket, { type: 'edit', target: target(edited), body: { text: 'once' } })
    const edit = await change(socket, {
      type: 'edit',
      target: target(edited),
      body: { text: 'twice' },
    })
    await change(socket, { type: 'edit', target: target(deleted), body: { text: 'gone' } })
    await change(socket, { type: 'delete', target: target(deleted) })
    await change(socket, { type: 'react', target: target(loved), emoji: '❤️' })
    await change(mine, { type: 'react', target: target(loved), emoji: '❤️' })
    await change(mine, { type: 'react', target: target(loved), emoji: '+1' })
    await change(mine, { type: 'react', target: target(plain), emoji: '+1' })
    const { seq } = await change(mine, {
      type: 'react',
      target: target(plain),
      emoji: '+1',
      remove: true,
    })
    await shown(ann, conversation, seq)
    const answer = await get(ann, conversation, 'messages')
    expect([answer.status, Object.keys(answer.body).sort(), answer.body.more]).toEqual([
      200,
      ['messages', 'more'],
      false,
    ])
    expect(answer.body.messages).toEqual([
      {
        ...loved,
        body: { text: 'loved' },
        reactions: [
          { emoji: '❤️', count: 2, mine: true },
          { emoji: '+1', count: 1, mine: false },
        ],
      },
      { ...deleted, deleted: true, reactions: [] },
      { ...edited, body: { text: 'twice' }, editedAt: edit.at, reactions: [] },
      { ...plain, body: { text: 'plain' }, reactions: [] },
    ])
    const { text } = await get(ben, conversation, 'events?limit=500')
    expect(text).not.toMatch(/gone|"text":"deleted"/)
    await Promise.all([socket.close(), mine.close()])
  })

  test('[H4] in pages before a seq', async () => {
    const { ann, ben } = routes()
    const id = await withMessages(Array.from({ length: 25 }, (_, i) => `${i}`))
    const texts = (answer: Answer) =>
      answer.body.messages.map((message: { body: { text: string } }) => Number(message.body.text))
    const down = (first: number, last: number) =>
      Array.from({ length: first - last + 1 }, (_, i) => first - i)
    for (const [query, wanted, more] of [
      ['', down(24, 0), false],
      ['?limit=10', down(24, 15), true],
      ['?limit=25', down(24, 0), false],
      ['?before=17&limit=10', down(14, 5), true],
      ['?before=7', down(4, 0), false],
      ['?before=2', [], false],
      ['?before=1', [], false],
      ['?before=9007199254740991&limit=1', [24], true],
    ] as const) {
      const answer = await get(ben, id, `messages${query}`)
      expect([answer.status, texts(answer), answer.body.more], query).toEqual([200, wanted, more])
    }
    for (const query of [
      'before=0',
      'before=-1',
      'before=x',
      'limit=0',
      'limit=501',
      'before=2.5',
    ]) {
      expectProblem(await get(ann, id, `messages?${query}`), 'invalid')
    }
    expectProblem(await get(routes().cleo, id, 'messages'), 'not_found')
  })
})

describe('PUT …/read', () => {
  const put = (as: Person, id: string, body: unknown) =>
    routes().ask(as, 'PUT', at(id, 'read'), body)
  const entryOf = async (as: Person, id: string) => {
    const { body } = await routes().ask(as, 'GET', '/v1/conversations?limit=500')
    const { read, unread } = body.conversations.find((entry: { id: string }) => entry.id === id)
    return { read, unread }
  }
  const expectEntry = async (as: Person, id: string, wanted: { read: number; unread: number }) =>
    expect(await entryOf(as, id)).toEqual(wanted)
  const comes = (as: Person, id: string, wanted: { read: number; unread: number }) =>
    eventually(`read ${wanted.read}, unread ${wanted.unread}`, async () => {
      await expectEntry(as, id, wanted)
      return true
    })

  test('[P4][G9][S13][H12] forward only, and at most to the head', async () => {
    const { ann, ben } = routes()
    const id = await withMessages(['a', 'b', 'c'])
    await comes(ben, id, { read: 0, unread: 3 })
    // It is answered once reads show it.
    expectNoContent(await put(ben, id, { seq: 3, later: 1 }))
    await expectEntry(ben, id, { read: 3, unread: 1 })
    expectNoContent(await put(ben, id, { seq: 1 }))
    expectNoContent(await put(ben, id, { seq: 99 }))
    await expectEntry(ben, id, { read: 4, unread: 0 })
    expectNoContent(await put(ben, id, { seq: 2 }))
    await comes(ann, id, { read: 4, unread: 0 })
    expect((await post(ann, id, { id: uuid7(), body: { text: 'd' } })).status).toBe(200)
    await comes(ben, id, { read: 4, unread: 1 })
    await comes(ann, id, { read: 5, unread: 0 })
    expect((await post(ben, id, { id: uuid7(), body: { text: 'e' } })).status).toBe(200)
    await comes(ben, id, { read: 6, unread: 0 })
    await comes(ann, id, { read: 5, unread: 1 })
  })

  test('[H1] what is no seq is invalid, and to one outside there is nothing to read', async () => {
    const { world, ann, ben, cleo } = routes()
    const id = await world.group(ann, [ben])
    for (const seq of [0, -1, 1.5, '1', null, undefined, true, [1], 2 ** 53]) {
      expectProblem(await put(ben, id, { seq }), 'invalid')
    }
    expectProblem(await put(cleo, id, { seq: 1 }), 'not_found')
    expectProblem(await put(ann, uuid7(), { seq: 1 }), 'not_found')
    expect(await entryOf(ben, id)).toEqual({ read: 0, unread: 0 })
  })
})
