import { describe, expect, test } from 'vitest'
import { subprotocols } from '../harness/frames.ts'
import { uuid4, uuid7 } from '../harness/ids.ts'
import { expectAlive, say, setUpPlace } from './place.ts'
import type { Fields } from './table.ts'

/** Each frame of a client, and its answer field by field. What `toEqual` holds is all that came. */

const place = setUpPlace()
const anyTime = expect.any(Number)

describe.each(subprotocols)('%s', (protocol) => {
  const group = () => place().world.group(place().ann, [place().ben])

  test('[C7] hello is answered by welcome', async () => {
    const person = await place().world.register()
    const { ann } = place()
    const conversation = await place().world.group(ann, [person])
    const socket = await place().open(protocol)
    const hello = { type: 'hello', token: person.accessToken, device: 'd', client: 'test/1' }
    const welcome = await socket.ask(hello, 'welcome')
    expect(welcome).toEqual({
      type: 'welcome',
      user: person.id,
      session: expect.stringMatching(/^[0-9a-f-]{36}$/),
      time: anyTime,
      limits: {
        frameBytes: 65_536,
        bodyBytes: 16_384,
        textLength: 8_000,
        inFlight: 32,
        messagesPerSecond: 0,
        idleSeconds: anyTime,
      },
      conversations: [{ id: conversation, head: 1, from: 1, read: 0 }],
      more: false,
      ...(welcome.ticket === undefined ? {} : { ticket: expect.any(String) }),
    })
    const again = await place().open(protocol)
    const ticket = welcome.ticket === undefined ? {} : { ticket: welcome.ticket }
    const back = await again.ask({ ...hello, ...ticket, resume: { [conversation]: 1 } }, 'welcome')
    expect(back).toMatchObject({ user: person.id, conversations: welcome.conversations })
    expect(back.session).toBe(welcome.session)
  })

  test('[S1][S2][S3] send is answered by ack, and once more with `duplicate`', async () => {
    const conversation = await group()
    const socket = await place().connect(place().ann, protocol)
    const frame = { type: 'send', id: uuid7(), conversation, body: { text: 'hi' } }
    const ack = await socket.ask(frame, 'ack', 'error')
    expect(ack).toEqual({ type: 'ack', id: frame.id, conversation, seq: 2, at: anyTime })
    const event = await socket.wait('event', (f) => f.id === frame.id)
    expect(event.fields).toEqual({
      type: 'event',
      conversation,
      seq: 2,
      id: frame.id,
      kind: 'message',
      sender: place().ann.id,
      at: ack.at,
      body: { text: 'hi' },
    })
    for (const retry of [true, false, undefined]) {
      expect(await socket.ask({ ...frame, retry }, 'ack', 'error')).toEqual({
        ...ack,
        duplicate: true,
      })
    }
    const other = await socket.ask({ ...frame, body: { text: 'ho' } }, 'ack', 'error')
    expect(other).toEqual({
      type: 'error',
      code: 'id_conflict',
      message: expect.any(String),
      retryable: false,
      id: frame.id,
    })
  })

  test('[S9][S10] edit, delete and react are answered by ack, and told as events', async () => {
    const conversation = await group()
    const socket = await place().connect(place().ann, protocol)
    const { id: target } = await say(socket, conversation)
    const body = { text: 'hi!', mentions: [place().ben.id] }
    const frames = [
      { type: 'edit', id: uuid7(), conversation, target, body },
      { type: 'react', id: uuid7(), conversation, target, emoji: '👍🏽' },
      { type: 'react', id: uuid7(), conversation, target, emoji: '👍🏽', remove: true },
      { type: 'react', id: uuid7(), conversation, target, emoji: '+1', remove: false },
      { type: 'delete', id: uuid7(), conversation, target },
    ]
    const events = [
      { kind: 'edit', target, body },
      { kind: 'reaction', target, body: { emoji: '👍🏽' } },
      { kind: 'reaction', target, body: { emoji: '👍🏽', remove: true } },
      { kind: 'reaction', target, body: { emoji: '+1' } },
      { kind: 'delete', target },
    ]
    for (const [i, frame] of frames.entries()) {
      const { id } = frame
      const seq = 3 + i
      const ack = await socket.ask(frame, 'ack', 'error')
      expect(ack).toEqual({ type: 'ack', id, conversation, seq, at: anyTime })
      expect(await socket.ask({ ...frame, retry: true }, 'ack', 'error')).toEqual({
        ...ack,
        duplicate: true,
      })
      const { fields } = await socket.wait('event', (f) => f.id === id)
      const sender = place().ann.id
      expect(fields).toEqual({
        type: 'event',
        conversation,
        seq,
        id,
        sender,
        at: ack.at,
        ...events[i],
      })
    }
    const late = { ...frames[0], id: uuid7() }
    expect(await socket.ask(late, 'ack', 'error')).toEqual({
      type: 'error',
      code: 'not_found',
      message: expect.any(String),
      retryable: false,
      id: late.id,
    })
  })

  test('[S3] an id of one type is a conflict for another', async () => {
    const conversation = await group()
    const socket = await place().connect(place().ann, protocol)
    const { id, seq } = await say(socket, conversation)
    const { id: target } = await say(socket, conversation)
    for (const frame of [
      { type: 'edit', target, body: { text: 'hi' } },
      { type: 'delete', target },
      { type: 'react', target, emoji: '+1' },
    ]) {
      const answer = await socket.ask({ ...frame, id, conversation }, 'ack', 'error')
      expect(answer).toMatchObject({ type: 'error', code: 'id_conflict', id })
    }
    expect((await say(socket, conversation)).seq).toBe(seq + 2)
  })

  test('[F13][P4] read and typing are answered by ok where there is a ref, be it empty', async () => {
    const conversation = await group()
    const socket = await place().connect(place().ann, protocol)
    const frames = [
      { type: 'read', conversation, seq: 1 },
      { type: 'read', conversation, seq: 70_000 },
      { type: 'read', conversation, seq: Number.MAX_SAFE_INTEGER },
      { type: 'typing', conversation, active: true },
      { type: 'typing', conversation, active: false },
    ]
    for (const frame of frames) {
      for (const ref of ['r', '', '€'.repeat(64)]) {
        expect(await socket.ask({ ...frame, ref }, 'ok', 'error')).toEqual({ type: 'ok', ref })
      }
    }
    const before = socket.frames.length
    for (const frame of frames) socket.post(frame)
    await expectAlive(socket)
    const answers = socket.frames.slice(before).map((f) => f.fields.type)
    expect(answers.filter((type) => type === 'ok' || type === 'error')).toEqual([])
  })

  test('[Y1][M12] sync is answered by synced, with the events’ own bytes', async () => {
    const conversation = await group()
    const socket = await place().connect(place().ann, protocol)
    const { id: target } = await say(socket, conversation)
    const id = uuid7()
    socket.post({ type: 'react', id, conversation, target, emoji: '🎉' })
    const live = await socket.wait('event', (f) => f.id === id)
    const sync = { type: 'sync', ref: '', conversation, after: 2 }
    const from = socket.frames.length
    const synced = await socket.ask(sync, 'synced', 'error')
    expect(synced).toEqual({
      type: 'synced',
      ref: '',
      conversation,
      events: [live.fields],
      head: 3,
      from: 1,
      more: false,
    })
    const page = await socket.wait('synced', () => true, { from })
    const stored =
      protocol === 'parley.v1.json'
        ? (page.raw as { events: unknown[] }).events[0]
        : (page.raw as unknown[][])[3]?.[0]
    expect(JSON.stringify(stored)).toBe(JSON.stringify(live.raw))
    const first = { ...sync, ref: 'first', after: 0, limit: 1 }
    expect(await socket.ask(first, 'synced', 'error')).toMatchObject({
      ref: 'first',
      events: [{ seq: 1, kind: 'created' }],
      more: true,
    })
    for (const after of [3, 4, Number.MAX_SAFE_INTEGER]) {
      expect(await socket.ask({ ...sync, after }, 'synced', 'error')).toMatchObject({
        events: [],
        head: 3,
        more: false,
      })
    }
  })

  test('[P1][P5] watch is answered by ok, then by the presence of all', async () => {
    await group()
    const socket = await place().connect(place().ann, protocol)
    await place().connect(place().ben, protocol)
    const { ann, ben, cleo, stranger } = place()
    await place().world.direct(ann, cleo)
    const nobody = uuid4()
    const users = [ben.id, cleo.id, stranger.id, nobody, ann.id]
    const from = socket.frames.length
    const watch = { type: 'watch', users: [...users, ben.id], ref: 'w' }
    expect(await socket.ask(watch, 'ok', 'error')).toEqual({ type: 'ok', ref: 'w' })
    const { fields } = await socket.wait('presence', () => true, { from })
    const types = socket.frames.slice(from).map((f) => f.fields.type)
    expect(types.indexOf('ok')).toBeLessThan(types.indexOf('presence'))
    const states = fields.users as { id: string; state: string }[]
    expect(states.map(({ id }) => id)).toEqual(users)
    const stateOf = (id: string) => states.find((state) => state.id === id)
    // Both have just connected: where that is not known yet it is told as a change.
    for (const { id } of [ben, ann]) {
      if (stateOf(id)?.state === 'online') expect(stateOf(id)).toEqual({ id, state: 'online' })
      const isOnline = (user: Fields) => user.id === id && user.state === 'online'
      const known = (f: Fields) => (f.users as Fields[]).some(isOnline)
      await socket.wait('presence', known, { from, deadlineMs: 3_000 })
    }
    expect(stateOf(cleo.id)).toMatchObject({ state: 'offline' })
    expect(stateOf(stranger.id)).toEqual({ id: stranger.id, state: 'offline' })
    expect(stateOf(nobody)).toEqual({ id: nobody, state: 'offline' })
    const none = { type: 'watch', users: [], ref: 'none' }
    expect(await socket.ask(none, 'ok', 'error')).toEqual({ type: 'ok', ref: 'none' })
    await expectAlive(socket)
  })

  test('[F13] ping is answered by pong, with its ref where it has one', async () => {
    const socket = await place().connect(place().ann, protocol)
    for (const ref of [undefined, '', 'r', '€'.repeat(64)]) {
      const pong = await socket.ask({ type: 'ping', ref }, 'pong', 'error')
      expect(pong).toEqual({ type: 'pong', ...(ref === undefined ? {} : { ref }), time: anyTime })
      expect(Math.abs((pong.time as number) - Date.now())).toBeLessThan(60_000)
    }
  })

  test('[C8] auth is answered by ok where there is a ref', async () => {
    const { ann } = place()
    const socket = await place().connect(ann, protocol)
    const auth = { type: 'auth', token: ann.accessToken }
    expect(await socket.ask({ ...auth, ref: 'a' }, 'ok', 'error')).toEqual({ type: 'ok', ref: 'a' })
    socket.post(auth)
    await expectAlive(socket)
    expect(socket.frames.filter((f) => f.fields.type === 'error')).toEqual([])
    const other = await place().connect(ann, protocol)
    const forged = await other.ask({ ...auth, token: 'a.b.c', ref: 'b' }, 'ok', 'error')
    expect(forged).toEqual({
      type: 'error',
      code: 'unauthenticated',
      message: expect.any(String),
      retryable: false,
      ref: 'b',
    })
    expect(await other.closed).toBe(4001)
  })
})
