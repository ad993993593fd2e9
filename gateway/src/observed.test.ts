import { describe, expect, test } from 'vitest'
import { Observed } from './observed.ts'
import type { Reader, RoomSink, Run } from './reader.ts'
import { Room } from './rooms.ts'

/** Events 4 and 5, of which the first removes so many users, and the second one more if told so. */
function removing(count: number, last?: string): Run {
  const removed = Array.from({ length: count }, (_, i) => ({ seq: 4, user: `user ${i}` }))
  if (last !== undefined) removed.push({ seq: 5, user: last })
  return {
    first: 4,
    frames: [4, 5].map((seq) => Uint8Array.of(seq)),
    removed,
    joined: 0,
    updated: 0,
  }
}

function recorder() {
  const delivered: number[] = []
  const asked: { reader: Reader<string>; knownHead: number }[] = []
  const sink: RoomSink<string> = {
    deliver(_reader, _run, first, last) {
      for (let seq = first; seq <= last; seq++) delivered.push(seq)
      return true
    },
    gap: () => true,
    removed() {},
    readmitted() {},
    recheck: (reader, knownHead) => void asked.push({ reader, knownHead }),
  }
  return { delivered, asked, sink }
}
const event6: Run = { first: 6, frames: [Uint8Array.of(6)], removed: [], joined: 0, updated: 0 }

describe('[G6] more removals than are remembered', () => {
  test.each([3, 4])(
    'a snapshot as of head %i, from before them, proves nothing: the directory is asked first',
    (head) => {
      const { delivered, asked, sink } = recorder()
      const room = new Room('c', 3, sink)
      room.publish(removing(256, 'ann'))
      const reader = room.join('link', 'ann', head)
      room.publish(event6)
      expect(delivered).toEqual([])
      expect(asked, 'for a snapshot of after the removals').toEqual([{ reader, knownHead: 5 }])
    },
  )

  test('a late notice of being added does not let in who was removed since', () => {
    const { delivered, asked, sink } = recorder()
    const room = new Room('c', 3, sink)
    room.publish(removing(256, 'ann'))
    room.introduce(room.admit('link', 'ann', 4))
    room.publish(event6)
    expect(delivered).toEqual([])
    expect(asked).toHaveLength(1)
  })

  test('a snapshot from after them is enough to go on', () => {
    const { delivered, asked, sink } = recorder()
    const room = new Room('c', 3, sink)
    room.publish(removing(256, 'ann'))
    room.join('link', 'ben', 5)
    room.publish(event6)
    expect(delivered).toEqual([6])
    expect(asked).toEqual([])
  })

  test('they are counted over all runs', () => {
    const observed = new Observed(1)
    for (let seq = 1; seq <= 256; seq++) {
      const removed = [{ seq, user: `user ${seq}` }]
      observed.note({ ...event6, first: seq, removed }, seq - 1, seq)
    }
    expect(observed.proves('ann', 0)).toBe(true)
    observed.note({ ...event6, first: 257, removed: [{ seq: 257, user: 'ben' }] }, 256, 257)
    expect([observed.proves('ben', 256), observed.proves('ann', 256)]).toEqual([false, false])
    expect(observed.proves('ann', 257)).toBe(true)
  })
})

test('[G8] up to 256 removals are remembered, and who was not among them joins at once', () => {
  const { delivered, asked, sink } = recorder()
  const room = new Room('c', 3, sink)
  room.publish(removing(255, 'ann'))
  room.join('link', 'ben', 3)
  room.publish(event6)
  expect(delivered).toEqual([6])
  room.join('other', 'ann', 4)
  expect(asked).toHaveLength(1)
})
