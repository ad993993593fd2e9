import { createMemoryBus } from '@parley/platform/memory/bus'
import { decodeEventFrame, encodeEventFrame } from '@parley/proto/event-frame'
import {
  type ConversationPublish,
  channels,
  decodeConversationPublish,
  decodeUserNotice,
  type UserNotice,
} from '@parley/proto/fan-out'
import type { Event } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { expect, test, vi } from 'vitest'
import { FanOut } from './fan-out.ts'

const conversation = newId()
const [ann, ben] = [newId(), newId()]

/** What is published of these events in one flush. */
async function published(events: Partial<Event>[]) {
  const bus = createMemoryBus()
  const publishes: ConversationPublish[] = []
  const notices: [string, UserNotice][] = []
  await bus.subscribe(channels.conversation(conversation), (payload) => {
    publishes.push(decodeConversationPublish(payload))
  })
  for (const user of [ann, ben]) {
    await bus.subscribe(channels.user(user), (payload) => {
      notices.push([user, decodeUserNotice(payload)])
    })
  }
  const fanOut = new FanOut(bus, { debug() {} } as never, { inc() {} })
  events.forEach((part, i) => {
    const base = { type: 'event', conversation, seq: i + 5, id: newId(), sender: ann, at: 1 }
    const event = { ...base, kind: 'message', body: { text: 'x' }, ...part } as Event
    fanOut.add(event, encodeEventFrame(event), () => 3)
  })
  fanOut.flush(0)
  await vi.waitFor(() => expect(publishes).toHaveLength(1))
  await bus.close()
  return { publish: publishes[0], notices }
}

test('a flush is one publish, which marks who was removed, that others joined and that the title changed', async () => {
  const { publish } = await published([
    { kind: 'joined', body: { users: [ben] } },
    {},
    { kind: 'updated', body: { title: 'Engines' } },
    { kind: 'left', body: { users: [ben] } },
  ])
  expect(publish).toMatchObject({
    firstSeq: 5,
    joined: 5,
    updated: 7,
    removed: [{ seq: 8, user: ben }],
  })
  expect(publish?.frames).toHaveLength(4)
})

test('events that change nobody’s membership and no title carry no marks', async () => {
  const { publish, notices } = await published([{}, { kind: 'reaction', body: { emoji: '!' } }])
  expect(Object.keys(publish ?? {})).toEqual(['firstSeq', 'frames', 'removed'])
  expect(notices).toEqual([])
})

test('users hear of their own membership and role on their own channel', async () => {
  const { notices } = await published([
    { kind: 'joined', body: { users: [ben] } },
    { kind: 'role', body: { user: ann, role: 'admin' } },
    { kind: 'left', body: { users: [ben] } },
  ])
  expect(notices).toEqual([
    [ben, { type: 'added', conversation, seq: 5, from: 3 }],
    [ann, { type: 'updated', conversation, seq: 6 }],
    [ben, { type: 'removed', conversation, seq: 7 }],
  ])
})

test('[G3] events said again before a flush stand in a publish of their own, each under its seq', async () => {
  const bus = createMemoryBus()
  const publishes: ConversationPublish[] = []
  await bus.subscribe(channels.conversation(conversation), (payload) => {
    publishes.push(decodeConversationPublish(payload))
  })
  const fanOut = new FanOut(bus, { debug() {} } as never, { inc() {} })
  for (const seq of [5, 6, 5, 6, 7]) {
    const base = { type: 'event', conversation, seq, id: newId(), sender: ann, at: 1 } as const
    const event: Event = { ...base, kind: 'message', body: { text: `${seq}` } }
    fanOut.add(event, encodeEventFrame(event), () => 1)
  }
  fanOut.flush(0)
  await vi.waitFor(() => expect(publishes).toHaveLength(2))
  await bus.close()
  const seqs = publishes.map(({ frames }) => frames.map((frame) => decodeEventFrame(frame).seq))
  expect(publishes.map((p) => p.firstSeq)).toEqual([5, 5])
  expect(seqs).toEqual([
    [5, 6],
    [5, 6, 7],
  ])
})
