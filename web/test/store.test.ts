import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createStore } from '../public/store.js'
import { createTimeline, itemsOf, prepend, trim } from '../public/timeline.js'

const me = '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55'
const other = '01980c36-51aa-7d04-8f2e-6b0a94c3d218'
const conversation = '01980c37-0b7c-7f5d-a1c4-93e8d5b62f07'

const message = (seq: number, sender = other) => ({
  type: 'event',
  conversation,
  seq,
  id: `m${seq}`,
  kind: 'message',
  sender,
  at: 1_000 + seq,
  body: { text: `text ${seq}` },
})

const entry = (fields = {}) => ({
  id: conversation,
  kind: 'group',
  head: 0,
  from: 1,
  read: 0,
  unread: 0,
  ...fields,
})

function openStore(fields = {}) {
  const store = createStore({ me, onChange() {} })
  store.mergeList([entry(fields)], () => 0)
  return store
}

const seqsOf = (store) => store.get(conversation).timeline.events.map(({ seq }) => seq)
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

describe('[G3] [Y9] events are shown once, in the order of seq', () => {
  test('whatever order they come in, doubled or missing, once sync has filled the holes', () => {
    const streams = fc
      .integer({ min: 1, max: 40 })
      .chain((length) =>
        fc.tuple(fc.constant(length), fc.array(fc.integer({ min: 1, max: length }))),
      )
    fc.assert(
      fc.property(streams, ([length, arrivals]) => {
        const store = openStore()
        store.open(conversation)
        for (const seq of arrivals) {
          store.take(message(seq))
          const seqs = seqsOf(store)
          expect(seqs).toEqual(upTo(seqs.length))
        }
        while (store.noteHead(conversation, length)) {
          store.take(message(store.get(conversation).head + 1))
        }
        expect(seqsOf(store)).toEqual(upTo(length))
        expect(store.get(conversation).unread).toBe(length)
        expect(store.get(conversation).last.id).toBe(`m${length}`)
      }),
    )
  })

  test('what lies beyond a hole is told, kept and placed when the hole is filled', () => {
    const store = openStore()
    store.open(conversation)
    expect(store.take(message(1))).toBe('applied')
    expect(store.take(message(3))).toBe('hole')
    expect(seqsOf(store)).toEqual([1])
    expect(store.take(message(2))).toBe('applied')
    expect(seqsOf(store)).toEqual([1, 2, 3])
    expect(store.take(message(2))).toBe('known')
  })

  test('what is kept beyond a hole is bounded', () => {
    const store = openStore()
    for (let seq = 2; seq <= 1_000; seq++) store.take(message(seq))
    expect(store.get(conversation).ahead.size).toBe(200)
    expect(store.noteHead(conversation, 0)).toBe(true)
  })

  test('what lies before `from` is no hole', () => {
    const store = openStore()
    store.beginAt(store.get(conversation), 5)
    expect(store.take(message(5))).toBe('applied')
  })

  test('one too far behind begins anew at the head', () => {
    const store = openStore()
    store.open(conversation)
    store.take(message(1))
    store.noteHead(conversation, 5_000)
    store.restart(store.get(conversation))
    expect(store.take(message(5_001))).toBe('applied')
    expect(seqsOf(store)).toEqual([5_001])
  })
})

describe('unread', () => {
  test('one’s own message reads all before it', () => {
    const store = openStore()
    store.take(message(1))
    store.take(message(2))
    expect(store.get(conversation).unread).toBe(2)
    store.take(message(3, me))
    expect(store.get(conversation)).toMatchObject({ unread: 0, read: 3 })
  })

  test('a list that is older than what is here counts nothing twice', () => {
    const store = openStore({ head: 1, unread: 1 })
    store.take(message(2))
    store.mergeList([entry({ head: 1, unread: 1 })], () => 0)
    expect(store.get(conversation)).toMatchObject({ head: 2, unread: 2 })
    store.mergeList([entry({ head: 4, unread: 4 })], () => 0)
    expect(store.get(conversation)).toMatchObject({ head: 4, unread: 4 })
  })

  test('an open conversation goes on by events, whatever the list says', () => {
    const store = openStore({ head: 1, unread: 1 })
    store.open(conversation)
    store.mergeList([entry({ head: 3, unread: 3 })], () => 0)
    expect(store.get(conversation)).toMatchObject({ head: 1, target: 3, unread: 1 })
    store.take(message(2))
    store.take(message(3))
    expect(store.get(conversation).unread).toBe(3)
  })

  test('what was read on this device counts, known to the server or not', () => {
    const store = createStore({ me, onChange() {} })
    store.mergeList([entry({ head: 10, unread: 10 })], () => 10)
    expect(store.get(conversation).unread).toBe(0)
  })

  test('reading a part leaves the rest', () => {
    const store = openStore()
    store.open(conversation)
    for (const seq of [1, 2, 3, 4]) store.take(message(seq))
    store.markRead(conversation, 3)
    expect(store.get(conversation).unread).toBe(1)
  })
})

test('the list keeps the server’s order, also where conversations have no message yet', () => {
  const ids = ['a', 'b', 'c', 'd'].map((c) => `${c}1980c37-0b7c-8f5d-a1c4-93e8d5b62f07`)
  const store = createStore({ me, onChange() {} })
  const lastMessage = { id: 'x', sender: other, at: 5_000, body: { text: 'x' } }
  store.mergeList(
    [
      entry({ id: ids[2] }),
      entry({ id: ids[0], lastMessage }),
      entry({ id: ids[3], lastMessage }),
      entry({ id: ids[1] }),
    ],
    () => 0,
  )
  expect(store.sorted().map(({ id }) => id)).toEqual([ids[2], ids[0], ids[3], ids[1]])
})

describe('the timeline', () => {
  test('shows edits and deletes in place of their message', () => {
    const timeline = createTimeline(5)
    const target = (seq: number, kind: string, of: string, text?: string) => ({
      ...message(seq),
      kind,
      target: of,
      body: text === undefined ? undefined : { text },
    })
    prepend(timeline, [
      message(1),
      message(2),
      target(3, 'edit', 'm1', 'better'),
      target(4, 'delete', 'm2'),
      target(5, 'edit', 'm2', 'come back'),
    ])
    expect(itemsOf(timeline)).toMatchObject([
      { id: 'm1', text: 'better', edited: true, deleted: false },
      { id: 'm2', text: '', edited: false, deleted: true },
    ])
  })

  test('refuses a page that leaves a hole, and trims from its beginning', () => {
    const timeline = createTimeline(3)
    expect(() => prepend(timeline, [message(1)])).toThrow(/hole/)
    prepend(timeline, [message(1), message(2), message(3)])
    trim(timeline, 2)
    expect(timeline).toMatchObject({ low: 2, events: [{ seq: 2 }, { seq: 3 }] })
  })
})
