import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type EventFrame, subprotocols } from './harness/frames.ts'
import { canonical, liveEvents, restEventsTo, syncedEvents } from './harness/history.ts'
import { directId, uuid7 } from './harness/ids.ts'
import { type ConversationInfo, type Person, type World, worldOf } from './harness/people.ts'
import { openSocket, type SocketClient } from './harness/socket-client.ts'
import type { Stack } from './harness/stack.ts'
import { startStandalone } from './harness/standalone-server.ts'

let stack: Stack
let world: World
let ann: Person
let ben: Person
let cleo: Person

beforeAll(async () => {
  stack = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
  world = worldOf(stack)
  ;[ann, ben, cleo] = (await world.registerMany(3)) as [Person, Person, Person]
}, 90_000)
afterAll(() => stack?.dispose())

async function shown(socket: SocketClient, conversation: string, seq: number) {
  await socket.wait('event', (e) => e.conversation === conversation && e.seq === seq)
}
async function closeAll(sockets: readonly SocketClient[]) {
  await Promise.all(sockets.map((socket) => socket.close()))
}

describe('conversations', () => {
  test('a direct conversation’s id follows from its users, so making it twice is one', async () => {
    const body = { kind: 'direct', members: [ben.id] }
    const first = await world.http.call<{ conversation: ConversationInfo }>(
      'POST',
      '/v1/conversations',
      { token: ann.accessToken, body, expect: 201 },
    )
    expect(first.conversation.id).toBe(directId(ann.id, ben.id))
    const second = await world.http.call<{ conversation: ConversationInfo }>(
      'POST',
      '/v1/conversations',
      { token: ben.accessToken, body: { kind: 'direct', members: [ann.id] }, expect: 200 },
    )
    expect(second.conversation.id).toBe(first.conversation.id)
    const other = await world.http.problem('POST', '/v1/conversations', {
      token: ann.accessToken,
      body: { ...body, id: uuid7() },
    })
    expect(other).toMatchObject({ status: 400, code: 'invalid' })
  })

  test('[H6] [H7] a group is there as soon as it is answered, with its maker as owner', async () => {
    const id = uuid7()
    const body = { id, kind: 'group', title: 'Climbing', members: [ben.id, cleo.id] }
    const { conversation } = await world.http.call<{ conversation: ConversationInfo }>(
      'POST',
      '/v1/conversations',
      { token: ann.accessToken, body, expect: 201 },
    )
    expect(conversation).toMatchObject({ id, kind: 'group', title: 'Climbing' })
    for (const person of [ann, ben, cleo]) {
      const { conversation: seen } = await world.http.call<{ conversation: ConversationInfo }>(
        'GET',
        `/v1/conversations/${id}`,
        { token: person.accessToken },
      )
      expect(seen).toMatchObject({ id, head: 1, from: 1, memberCount: 3 })
      expect(seen.role).toBe(person === ann ? 'owner' : 'member')
      expect(seen.members.map((m) => m.user).sort()).toEqual([ann.id, ben.id, cleo.id].sort())
    }
    await world.http.call('POST', '/v1/conversations', {
      token: ann.accessToken,
      body,
      expect: 200,
    })
    const [created] = await restEventsTo(world, ben, id, 1)
    expect(created).toMatchObject({ seq: 1, kind: 'created', sender: ann.id })
    expect(created?.body).toMatchObject({ kind: 'group', title: 'Climbing' })
    expect([...((created?.body?.users as string[]) ?? [])].sort()).toEqual(
      [ann.id, ben.id, cleo.id].sort(),
    )
  })

  test('the list has the latest first, with head, unread and last message', async () => {
    const reader = await world.register()
    const older = await world.group(ann, [reader], { title: 'older' })
    const newer = await world.group(ann, [reader], { title: 'newer' })
    const socket = await world.connect(ann)
    await socket.say(older, 'now the latest')
    const list = async () =>
      (
        await world.http.call<{ conversations: Record<string, unknown>[] }>(
          'GET',
          '/v1/conversations?limit=10',
          { token: reader.accessToken },
        )
      ).conversations
    await expect.poll(async () => (await list())[0]?.head).toBe(2)
    const entries = await list()
    expect(entries.map((c) => c.id)).toEqual([older, newer])
    expect(entries[0]).toMatchObject({ kind: 'group', title: 'older', from: 1, role: 'member' })
    expect(entries[0]?.lastMessage).toMatchObject({ body: { text: 'now the latest' } })
    expect(entries[0]?.unread).toBeGreaterThan(0)
    await socket.close()
  })
})

describe('messages', () => {
  test('[G3] [S2] all members on both subprotocols, REST and sync see one order, the sender too', async () => {
    const conversation = await world.group(ann, [ben, cleo])
    const people = [ann, ben, cleo]
    const sockets = await Promise.all(
      people.flatMap((person) => subprotocols.map((protocol) => world.connect(person, protocol))),
    )
    for (let round = 0; round < 10; round++) {
      await Promise.all(sockets.map((s, i) => s.say(conversation, `${round} of ${i}: 你好 🙂`)))
    }
    const head = 1 + sockets.length * 10
    await Promise.all(sockets.map((socket) => shown(socket, conversation, head)))

    const stored = await restEventsTo(world, ann, conversation, head)
    expect(stored.map((e) => e.seq)).toEqual(Array.from({ length: head }, (_, i) => i + 1))
    expect(stored.every((e, i) => i === 0 || e.at >= (stored[i - 1] as EventFrame).at)).toBe(true)
    const expected = stored.map(canonical)
    for (const person of people) {
      expect((await restEventsTo(world, person, conversation, head)).map(canonical)).toEqual(
        expected,
      )
    }
    for (const socket of sockets) {
      const live = liveEvents(socket, conversation)
      expect(live.map(canonical)).toEqual(expected.slice(1))
      const synced = await syncedEvents(socket, conversation, { limit: 7 })
      expect(synced.map(canonical)).toEqual(expected)
      for (const frame of socket.journal) {
        if (frame.type !== 'ack') continue
        const event = stored[frame.seq - 1]
        expect(event).toMatchObject({ id: frame.id, at: frame.at, seq: frame.seq })
        expect(frame.duplicate ?? false).toBe(false)
      }
    }
    await closeAll(sockets)
  })

  test('[C1] no subprotocol means JSON', async () => {
    const conversation = await world.direct(ann, ben)
    const socket = await openSocket(stack.wsUrls[0] as string)
    await socket.hello(ann.accessToken)
    await socket.say(conversation, 'plain')
    await socket.close()
  })

  test.each(subprotocols)(
    '%s: a message of many frames is as many messages of one',
    async (protocol) => {
      const conversation = await world.group(ann, [ben])
      const socket = await openSocket(stack.wsUrls[0] as string, { protocol })
      const ids = Array.from({ length: 20 }, () => uuid7())
      socket.post([
        { type: 'hello', token: ann.accessToken, device: 'batch' },
        ...ids.map((id, i) => ({ type: 'send', id, conversation, body: { text: `${i}` } })),
        { type: 'ping', ref: 'last' },
      ])
      await socket.wait('pong', (f) => f.ref === 'last')
      for (const [i, id] of ids.entries()) {
        expect(await socket.wait('ack', (f) => f.id === id)).toMatchObject({ seq: i + 2 })
      }
      await socket.close()
    },
  )

  test('[G5] [S6] sends of one connection to one conversation keep their order', async () => {
    const conversation = await world.direct(ann, cleo)
    const socket = await world.connect(ann, 'parley.v1.msgpack')
    const first = await socket.say(conversation, 'start')
    const ids: string[] = []
    for (let round = 0; round < 10; round++) {
      const batch = Array.from({ length: 32 }, () => uuid7())
      for (const id of batch) socket.post({ type: 'send', id, conversation, body: { text: id } })
      await Promise.all(batch.map((id) => socket.wait('ack', (f) => f.id === id)))
      ids.push(...batch)
    }
    const stored = await syncedEvents(socket, conversation, { after: first.seq })
    expect(stored.map((e) => e.id)).toEqual(ids)
    await socket.close()
  })

  test('a body comes back as it was sent', async () => {
    const conversation = await world.group(ann, [ben])
    const socket = await world.connect(ben, 'parley.v1.msgpack')
    const { id: replyTo } = await socket.say(conversation, 'first')
    const texts = ['x'.repeat(8_000), '\u0000\u0001"\\/\n', '👩‍👩‍👧‍👦 اللغة ภาษา', '  spaces  ']
    for (const text of texts) {
      const body = { text, replyTo, mentions: [ann.id, ben.id] }
      const answer = await socket.send(conversation, body)
      if (answer.type !== 'ack') throw new Error(JSON.stringify(answer))
      const event = await socket.wait('event', (e) => e.id === answer.id)
      expect(event.body).toEqual(body)
    }
    const [, , ...stored] = await restEventsTo(world, ann, conversation, 2 + texts.length)
    expect(stored.map((e) => e.body?.text)).toEqual(texts)
    await socket.close()
  })

  test('[G2] a send over REST takes the same path: live, in order, once', async () => {
    const conversation = await world.group(ann, [ben])
    const reader = await world.connect(ben)
    const path = `/v1/conversations/${conversation}/messages`
    const body = { id: uuid7(), body: { text: 'by post' } }
    const call = { token: ann.accessToken, body }
    const first = await world.http.call<Record<string, unknown>>('POST', path, call)
    expect(first).toEqual({ id: body.id, seq: 2, at: expect.any(Number) })
    await shown(reader, conversation, 2)
    expect(await world.http.call('POST', path, call)).toEqual({ ...first, duplicate: true })
    const clash = { ...call, body: { ...body, body: { text: 'something else' } } }
    expect(await world.http.problem('POST', path, clash)).toMatchObject({
      status: 409,
      code: 'id_conflict',
    })
    await reader.close()
  })

  test('`messages` is the present state, newest first and in pages', async () => {
    const conversation = await world.group(ann, [ben])
    const socket = await world.connect(ann)
    for (let i = 0; i < 25; i++) await socket.say(conversation, `no ${i}`)
    const page = async (query: string) =>
      world.http.call<{ messages: { seq: number; body: { text: string } }[]; more: boolean }>(
        'GET',
        `/v1/conversations/${conversation}/messages${query}`,
        { token: ben.accessToken },
      )
    await expect.poll(async () => (await page('')).messages[0]?.seq).toBe(26)
    const newest = await page('?limit=10')
    expect(newest.messages.map((m) => m.body.text)).toEqual(
      Array.from({ length: 10 }, (_, i) => `no ${24 - i}`),
    )
    expect(newest.more).toBe(true)
    const rest = await page(`?limit=20&before=${newest.messages.at(-1)?.seq}`)
    expect(rest.messages).toHaveLength(15)
    expect(rest.more).toBe(false)
    expect(rest.messages[0]).toMatchObject({ sender: ann.id, reactions: [] })
    await socket.close()
  })
})

describe('a connection', () => {
  test('[C7] welcome tells who, when, the limits and the conversations', async () => {
    const person = await world.register()
    const conversation = await world.group(ann, [person])
    for (const protocol of subprotocols) {
      const socket = await world.connect(person, protocol)
      expect(socket.welcome).toMatchObject({
        user: person.id,
        limits: { frameBytes: 65_536, bodyBytes: 16_384, textLength: 8_000, inFlight: 32 },
        conversations: [{ id: conversation, head: 1, from: 1, read: 0 }],
        more: false,
      })
      expect(Math.abs(socket.welcome.time - Date.now())).toBeLessThan(60_000)
      expect(Math.abs((await socket.ping()) - Date.now())).toBeLessThan(60_000)
      await socket.close()
    }
  })

  test('[Y5] resume brings up to 50 missed events, and a gap where there are more', async () => {
    const reader = await world.register()
    const few = await world.group(ann, [reader])
    const many = await world.group(ann, [reader])
    const socket = await world.connect(ann, 'parley.v1.msgpack')
    for (let i = 0; i < 50; i++) await socket.say(few, `few ${i}`)
    for (let i = 0; i < 51; i++) await socket.say(many, `many ${i}`)
    for (const protocol of subprotocols) {
      const back = await world.connect(reader, protocol, { resume: { [few]: 1, [many]: 1 } })
      await back.wait('gap', (f) => f.conversation === many && f.head === 52)
      await shown(back, few, 51)
      expect(liveEvents(back, few).map((e) => e.seq)).toEqual(
        Array.from({ length: 50 }, (_, i) => i + 2),
      )
      expect(liveEvents(back, many)).toEqual([])
      await back.close()
    }
    await socket.close()
  })

  test('[G7] [Y6] heads of active conversations are announced', async () => {
    const conversation = await world.group(ann, [ben])
    const socket = await world.connect(ben)
    const sender = await world.connect(ann)
    const { seq } = await sender.say(conversation, 'something')
    const { heads } = await socket.wait('heads', (f) => conversation in f.heads, {
      deadlineMs: 15_000,
    })
    expect(heads[conversation]).toBe(seq)
    await closeAll([socket, sender])
  })

  test.each(subprotocols)(
    '[C8] %s: `auth` takes a fresh token of the same user only',
    async (protocol) => {
      const person = await world.register()
      const socket = await world.connect(person, protocol)
      const fresh = await world.http.call<{ accessToken: string }>('POST', '/v1/auth/refresh', {
        body: { refreshToken: person.refreshToken },
      })
      socket.post({ type: 'auth', token: fresh.accessToken, ref: 'mine' })
      await socket.wait('ok', (f) => f.ref === 'mine')
      socket.post({ type: 'auth', token: ann.accessToken, ref: 'theirs' })
      const refused = await socket.wait('error', (f) => f.ref === 'theirs')
      expect(refused.retryable).toBe(false)
      await socket.close()
    },
  )

  test('a message to several devices of the sender reaches each once', async () => {
    const conversation = await world.direct(ann, ben)
    const devices = await Promise.all([1, 2, 3].map(() => world.connect(ann)))
    const { seq } = await (devices[0] as SocketClient).say(conversation, 'to my other devices')
    for (const device of devices) {
      await shown(device, conversation, seq)
      await device.ping()
      expect(liveEvents(device, conversation).filter((e) => e.seq === seq)).toHaveLength(1)
    }
    await closeAll(devices)
  })
})
