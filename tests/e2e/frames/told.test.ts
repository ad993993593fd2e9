import { describe, expect, test } from 'vitest'
import { within } from '../harness/deadline.ts'
import { subprotocols } from '../harness/frames.ts'
import { uuid7 } from '../harness/ids.ts'
import type { Person } from '../harness/people.ts'
import type { BareSocket } from './bare-socket.ts'
import { expectAlive, say, setUpPlace } from './place.ts'

/** What a server tells unasked, on both subprotocols, field by field. */

const place = setUpPlace()
const anyTime = expect.any(Number)

const rest = (person: Person, method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown) =>
  place().world.http.call(method, `/v1/conversations/${path}`, {
    token: person.accessToken,
    body,
    expect: [200, 204],
  })
const infoOf = async (person: Person, conversation: string) =>
  (
    await place().world.http.call<{ conversation: unknown }>(
      'GET',
      `/v1/conversations/${conversation}`,
      { token: person.accessToken },
    )
  ).conversation

describe.each(subprotocols)('%s', (protocol) => {
  test('[B5] events of each kind', async () => {
    const { ann, ben, cleo, world } = place()
    const socket = await place().connect(ann, protocol)
    const id = await world.group(ann, [ben], { title: 'Engines' })
    const adding = uuid7()
    await rest(ann, 'POST', `${id}/members`, { id: adding, members: [cleo.id] })
    await rest(ann, 'PATCH', `${id}/members/${cleo.id}`, { role: 'admin' })
    await rest(cleo, 'PATCH', id, { title: 'Motors' })
    await rest(cleo, 'DELETE', `${id}/members/${cleo.id}`)
    const { seq } = await say(socket, id)
    expect(seq).toBe(6)
    socket.post({ type: 'sync', ref: 's', conversation: id, after: 0 })
    const { fields } = await socket.wait('synced', (f) => f.ref === 's')
    const event = { type: 'event', conversation: id, id: expect.any(String), at: anyTime }
    const expected = [
      {
        ...event,
        seq: 1,
        kind: 'created',
        sender: ann.id,
        body: { kind: 'group', title: 'Engines', users: expect.any(Array) },
      },
      { ...event, seq: 2, id: adding, kind: 'joined', sender: ann.id, body: { users: [cleo.id] } },
      { ...event, seq: 3, kind: 'role', sender: ann.id, body: { user: cleo.id, role: 'admin' } },
      { ...event, seq: 4, kind: 'updated', sender: cleo.id, body: { title: 'Motors' } },
      { ...event, seq: 5, kind: 'left', sender: cleo.id, body: { users: [cleo.id] } },
      { ...event, seq: 6, kind: 'message', sender: ann.id, body: { text: 'hi' } },
    ]
    expect(fields.events).toEqual(expected)
    const [created] = fields.events as { body: { users: string[] } }[]
    expect(created?.body.users.toSorted()).toEqual([ann.id, ben.id].sort())
    for (const shown of expected.slice(1)) {
      const live = await socket.wait('event', (f) => f.conversation === id && f.seq === shown.seq)
      expect(live.fields).toEqual(shown)
    }
  })

  test('[Y5] gap where more than 50 were missed, else the events', async () => {
    const { ann, ben, world } = place()
    const speaker = await place().connect(ann, protocol)
    const [few, many] = [await world.group(ann, [ben]), await world.group(ann, [ben])]
    for (let i = 0; i < 50; i++) await say(speaker, few)
    for (let i = 0; i < 51; i++) await say(speaker, many)
    const socket = await place().connect(ben, protocol, { resume: { [few]: 1, [many]: 1 } })
    const gap = await socket.wait('gap', (f) => f.conversation === many)
    expect(gap.fields).toEqual({ type: 'gap', conversation: many, head: 52 })
    await socket.wait('event', (f) => f.conversation === few && f.seq === 51)
    await expectAlive(socket)
    const events = socket.frames.map((f) => f.fields).filter((f) => f.type === 'event')
    expect(events.map((f) => [f.conversation, f.seq])).toEqual(
      Array.from({ length: 50 }, (_, i) => [few, i + 2]),
    )
  })

  test('[B6][Y5] resume shows nothing of a deleted message', async () => {
    const { ann, ben, world } = place()
    const conversation = await world.group(ann, [ben])
    const speaker = await place().connect(ann, protocol)
    const { id: target } = await say(speaker, conversation, 'secret')
    const edit = { type: 'edit', id: uuid7(), conversation, target, body: { text: 'secret too' } }
    expect(await speaker.ask(edit, 'ack', 'error')).toMatchObject({ type: 'ack' })
    const erase = { type: 'delete', id: uuid7(), conversation, target }
    expect(await speaker.ask(erase, 'ack', 'error')).toMatchObject({ type: 'ack', seq: 4 })
    const socket = await place().connect(ben, protocol, { resume: { [conversation]: 1 } })
    await socket.wait('event', (f) => f.conversation === conversation && f.seq === 4)
    const shown = [2, 3, 4].map((seq) => socket.frames.find((f) => f.fields.seq === seq)?.fields)
    expect(shown.map((f) => [f?.kind, f?.body])).toEqual([
      ['message', undefined],
      ['edit', undefined],
      ['delete', undefined],
    ])
    expect(JSON.stringify(socket.frames.map((f) => f.fields))).not.toContain('secret')
  })

  test('[Y6] heads of conversations lately active', async () => {
    const { ann, ben, world } = place()
    const conversation = await world.group(ann, [ben])
    const socket = await place().connect(ben, protocol)
    await say(await place().connect(ann, protocol), conversation)
    const { fields } = await socket.wait(
      'heads',
      (f) => (f.heads as Record<string, number>)[conversation] === 2,
      { deadlineMs: 5_000 },
    )
    expect(Object.keys(fields)).toEqual(['type', 'heads'])
  })

  test('[P4] read positions, to the other members and one’s other devices', async () => {
    const { ann, ben, cleo, world } = place()
    const conversation = await world.group(ann, [ben])
    const speaker = await place().connect(ann, protocol)
    for (let i = 0; i < 3; i++) await say(speaker, conversation)
    const [reader, device] = [
      await place().connect(ben, protocol),
      await place().connect(ben, protocol),
    ]
    const outside = await place().connect(cleo, protocol)
    const shown = { type: 'read', conversation, user: ben.id }
    const from = speaker.frames.length
    reader.post({ type: 'read', conversation, seq: 2, ref: 'r' })
    await reader.wait('ok', (f) => f.ref === 'r')
    for (const socket of [speaker, device]) {
      const { fields } = await socket.wait('read', (f) => f.user === ben.id && f.seq === 2)
      expect(fields).toEqual({ ...shown, seq: 2 })
    }
    reader.post({ type: 'read', conversation, seq: 1 })
    reader.post({ type: 'read', conversation, seq: 99 })
    await speaker.wait('read', (f) => f.user === ben.id && f.seq === 4, { from })
    const seqs = speaker.frames
      .slice(from)
      .map((f) => f.fields)
      .filter((f) => f.type === 'read' && f.user === ben.id)
      .map((f) => f.seq)
    expect(seqs).toEqual([2, 4])
    await expectAlive(outside)
    expect(outside.frames.some((f) => f.fields.type === 'read')).toBe(false)
  })

  test('[P3] typing, not to the connection it came from, and its end by itself', async () => {
    const { ann, ben, cleo, world } = place()
    const conversation = await world.group(ann, [ben])
    const typist = await place().connect(ben, protocol)
    const readers = [await place().connect(ann, protocol), await place().connect(ben, protocol)]
    const outside = await place().connect(cleo, protocol)
    const told = { type: 'typing', conversation, user: ben.id }
    typist.post({ type: 'typing', conversation, active: true })
    const began = performance.now()
    for (const [i, socket] of readers.entries()) {
      const { fields } = await socket.wait('typing', (f) => f.active === true)
      expect(fields, `reader ${i}`).toEqual({ ...told, active: true })
    }
    const ended = await (readers[0] as BareSocket).wait('typing', (f) => f.active === false)
    expect(ended.fields).toEqual({ ...told, active: false })
    const afterMs = performance.now() - began
    expect(afterMs).toBeGreaterThan(5_000)
    expect(afterMs).toBeLessThan(8_000)
    const from = (readers[0] as BareSocket).frames.length
    typist.post({ type: 'typing', conversation, active: true })
    typist.post({ type: 'typing', conversation, active: false })
    await (readers[0] as BareSocket).wait('typing', (f) => f.active === false, { from })
    for (const socket of [typist, outside]) {
      await expectAlive(socket)
      expect(socket.frames.some((f) => f.fields.type === 'typing')).toBe(false)
    }
  })

  test('[P3] typing ends with a message, with the link, and with one’s removal', async () => {
    const { ann, ben, world } = place()
    const conversation = await world.group(ann, [ben])
    const reader = await place().connect(ann, protocol)
    const ends: [string, (typist: BareSocket) => unknown][] = [
      ['a message', (typist) => say(typist, conversation)],
      ['the link', (typist) => typist.close()],
      ['removal', () => rest(ann, 'DELETE', `${conversation}/members/${ben.id}`)],
    ]
    for (const [name, end] of ends) {
      const typist = await place().connect(ben, protocol)
      const from = reader.frames.length
      typist.post({ type: 'typing', conversation, active: true })
      await reader.wait('typing', (f) => f.active === true, { from })
      const began = performance.now()
      await end(typist)
      const { fields } = await reader.wait('typing', (f) => f.active === false, { from })
      expect(fields).toEqual({ type: 'typing', conversation, user: ben.id, active: false })
      expect(performance.now() - began, name).toBeLessThan(3_000)
      const told = reader.frames.slice(from).map((f) => f.fields)
      const event = told.findIndex((f) => f.type === 'event')
      if (name === 'a message') expect(event).toBeLessThan(told.indexOf(fields))
    }
  })

  test('[P1][P2] presence when it changes, to watchers', async () => {
    const { ann, world } = place()
    const friend = await world.register()
    await world.direct(ann, friend)
    const watcher = await place().connect(ann, protocol)
    watcher.post({ type: 'watch', users: [friend.id] })
    const first = await watcher.wait('presence')
    expect(first.fields.users).toMatchObject([{ id: friend.id, state: 'offline' }])
    const stateIs = (state: string) => (f: Record<string, unknown>) =>
      (f.users as { id: string; state: string }[]).some(
        (user) => user.id === friend.id && user.state === state,
      )
    const device = await place().connect(friend, protocol)
    const online = await watcher.wait('presence', stateIs('online'), { deadlineMs: 5_000 })
    expect(online.fields).toEqual({ type: 'presence', users: [{ id: friend.id, state: 'online' }] })
    const second = await place().connect(friend, protocol)
    await device.close()
    const from = watcher.frames.length
    const leftAt = Date.now()
    await second.close()
    const gone = await watcher.wait('presence', stateIs('offline'), { from, deadlineMs: 4_000 })
    const [state] = gone.fields.users as { lastSeen: number }[]
    expect(gone.fields.users).toEqual([{ id: friend.id, state: 'offline', lastSeen: anyTime }])
    expect(Math.abs((state?.lastSeen ?? 0) - leftAt)).toBeLessThan(5_000)
    watcher.post({ type: 'watch', users: [], ref: 'none' })
    await watcher.wait('ok', (f) => f.ref === 'none')
    const unwatched = watcher.frames.length
    const again = await place().connect(friend, protocol)
    const other = await place().connect(ann, protocol)
    other.post({ type: 'watch', users: [friend.id] })
    await other.wait('presence', stateIs('online'), { deadlineMs: 5_000 })
    await expectAlive(watcher)
    const later = watcher.frames.slice(unwatched).map((f) => f.fields)
    expect(later.filter((f) => f.type === 'presence' && (f.users as []).length > 0)).toEqual([])
    await again.close()
  })

  test('[Y8][Y10][Y11] conversation: added, updated, removed, to all devices of a member', async () => {
    const { ann, ben, cleo, world } = place()
    const devices = [await place().connect(cleo, protocol), await place().connect(cleo, protocol)]
    const told = async (change: string, conversation: string, from: readonly number[]) => {
      const frames = []
      for (const [i, device] of devices.entries()) {
        const matches = (f: Record<string, unknown>) =>
          f.change === change && f.conversation === conversation
        const waiting = { from: from[i] as number, deadlineMs: 5_000 }
        frames.push((await device.wait('conversation', matches, waiting)).fields)
      }
      return frames
    }
    const now = () => devices.map((device) => device.frames.length)
    let from = now()
    const id = await world.group(ann, [ben, cleo], { title: 'Engines' })
    const notice = { type: 'conversation', conversation: id }
    for (const frame of await told('added', id, from)) {
      expect(frame).toEqual({ ...notice, change: 'added', info: await infoOf(cleo, id) })
    }
    const changes: [Person, 'PATCH', string, unknown][] = [
      [ann, 'PATCH', id, { title: 'Motors' }],
      [ann, 'PATCH', `${id}/members/${cleo.id}`, { role: 'admin' }],
    ]
    for (const [person, method, path, body] of changes) {
      from = now()
      await rest(person, method, path, body)
      for (const frame of await told('updated', id, from)) {
        expect(frame).toEqual({ ...notice, change: 'updated', info: await infoOf(cleo, id) })
      }
    }
    from = now()
    await rest(ann, 'DELETE', `${id}/members/${cleo.id}`)
    for (const frame of await told('removed', id, from)) {
      expect(frame).toEqual({ ...notice, change: 'removed' })
    }
    from = now()
    await rest(ann, 'POST', `${id}/members`, { members: [cleo.id] })
    for (const frame of await told('added', id, from)) {
      expect(frame).toEqual({ ...notice, change: 'added', info: await infoOf(cleo, id) })
    }
  })
})

test('[C11][W4] drain, before the links are closed', async () => {
  const sockets = await Promise.all(subprotocols.map((p) => place().connect(place().ann, p)))
  const ended = place().stack.stop()
  for (const socket of sockets) {
    const { fields } = await socket.wait('drain', () => true, { deadlineMs: 5_000 })
    expect(fields).toEqual({ type: 'drain', reconnectAfterMs: anyTime })
    expect(await within('it closes', 20_000, socket.closed)).toBe(4013)
    expect(socket.flaws).toEqual([])
  }
  expect(await ended).toBe(0)
})
