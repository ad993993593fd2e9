import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { idTime, newId } from '../public/ids.js'
import { createOutbox } from '../public/outbox.js'
import { createSender } from '../public/sender.js'
import { memoryStorage } from './memory-storage.ts'

const user = '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('ids', () => {
  test('are version 7, of the time given, and sort as they were made even when the time goes back', () => {
    const first = newId(1_900_000_000_000)
    const ids = [first, ...Array.from({ length: 5_000 }, (_, i) => newId(1_900_000_000_000 - i))]
    expect(idTime(first)).toBe(1_900_000_000_000)
    for (const id of ids) {
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    }
    expect(ids.toSorted()).toEqual(ids)
    expect(new Set(ids).size).toBe(ids.length)
  })
})

const open = (storage = memoryStorage()) =>
  createOutbox({ storage, user, onChange() {}, now: Date.now })

describe('the outbox', () => {
  test('survives the page, in the order of writing, and is another user’s own', () => {
    const storage = memoryStorage()
    const outbox = open(storage)
    for (const text of ['one', 'two', 'three']) {
      outbox.add({ id: newId(Date.now()), conversation: 'c', text })
    }
    const ids = outbox.all().map(({ id }) => id)
    outbox.fail(ids[1], { code: 'forbidden', message: 'No.' })
    const again = open(storage)
    expect(again.all().map(({ id, text, state }) => [id, text, state])).toEqual([
      [ids[0], 'one', 'waiting'],
      [ids[1], 'two', 'failed'],
      [ids[2], 'three', 'waiting'],
    ])
    const foreign = createOutbox({ storage, user: 'someone else', onChange() {} })
    expect(foreign.all()).toEqual([])
  })

  test('keeps the id on retry, except where the id itself was refused', () => {
    const outbox = open()
    outbox.add({ id: 'first', conversation: 'c', text: 'x' })
    outbox.fail('first', { code: 'forbidden', message: 'No.' })
    outbox.retry('first', () => 'second')
    expect(outbox.all()).toMatchObject([{ id: 'first', state: 'waiting' }])
    outbox.fail('first', { code: 'id_conflict', message: 'No.' })
    outbox.retry('first', () => 'second')
    expect(outbox.all()).toMatchObject([{ id: 'second', state: 'waiting' }])
  })

  test('tabs don’t overwrite each other’s messages', () => {
    const storage = memoryStorage()
    const [a, b] = [open(storage), open(storage)]
    a.add({ id: 'a1', conversation: 'c', text: 'of a' })
    b.add({ id: 'b1', conversation: 'c', text: 'of b' })
    a.remove('a1')
    expect(open(storage).all()).toMatchObject([{ id: 'b1' }])
    a.heard({ key: `parley.outbox.${user}.b1`, newValue: 'x' })
    expect(a.all()).toMatchObject([{ id: 'b1', eligibleAt: Date.now() + 5_000 }])
  })

  test('is bounded, and says so; so does a full storage', () => {
    const outbox = open()
    for (let i = 0; i < 500; i++) {
      expect(outbox.add({ id: `${i}`, conversation: 'c', text: 'x' }).ok).toBe(true)
    }
    expect(outbox.add({ id: 'over', conversation: 'c', text: 'x' }).ok).toBe(false)
    const setItem = () => {
      throw new Error('QuotaExceededError')
    }
    const full = open({ ...memoryStorage(), setItem })
    expect(full.add({ id: 'a', conversation: 'c', text: 'x' }).ok).toBe(false)
    expect(full.all()).toEqual([])
  })
})

/** A gateway as the sender sees it: refuses, loses and answers as it is told, and takes each id once. */
function fakeGateway(fates: readonly string[]) {
  const accepted: { id: string; conversation: string; seq: number }[] = []
  let next = 0
  let sender: ReturnType<typeof createSender>
  let isOnline = true
  const answer = (frame) => {
    const { id, conversation } = frame
    let place = accepted.find((known) => known.id === id)
    const duplicate = place !== undefined
    if (!place) {
      const seq = accepted.filter((known) => known.conversation === conversation).length + 1
      place = { id, conversation, seq }
      accepted.push(place)
    }
    return { type: 'ack', id, conversation, seq: place.seq, at: 1, duplicate }
  }
  const sent: { id: string; retry?: boolean }[] = []
  const socket = {
    limits: () => (isOnline ? { inFlight: 32 } : null),
    check() {},
    send(frame) {
      sent.push(frame)
      const fate = fates[next++] ?? 'ack'
      if (fate === 'ack') setTimeout(() => sender.acked(answer(frame)), 5)
      else if (fate === 'refuse') {
        const refused = { code: 'overloaded', message: 'busy', retryable: true, retryAfterMs: 100 }
        setTimeout(() => sender.refused({ id: frame.id, ...refused }), 5)
      } else if (fate === 'lose ack') answer(frame)
      else if (fate === 'cut') {
        answer(frame)
        isOnline = false
        setTimeout(() => sender.lost(), 1)
        setTimeout(() => {
          isOnline = true
          sender.pump()
        }, 1_000)
      }
    },
  }
  return {
    accepted,
    sent,
    start(outbox) {
      sender = createSender({ outbox, socket, onAcked() {} })
      return sender
    },
  }
}

describe('the sender', () => {
  test('[G2] [G5] each message is taken once and in order, whatever is refused, lost or cut off', async () => {
    const fates = fc.array(fc.constantFrom('ack', 'refuse', 'lose', 'lose ack', 'cut'), {
      maxLength: 20,
    })
    const writes = fc.array(fc.constantFrom('c1', 'c2'), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(fates, writes, async (fate, written) => {
        const gateway = fakeGateway(fate)
        const outbox = open()
        const sender = gateway.start(outbox)
        const ids = written.map((conversation) => {
          const id = newId(Date.now())
          outbox.add({ id, conversation, text: 'x' })
          sender.pump()
          return id
        })
        await vi.advanceTimersByTimeAsync(30 * 60_000)
        expect(outbox.all()).toEqual([])
        for (const conversation of ['c1', 'c2']) {
          const wanted = ids.filter((_, i) => written[i] === conversation)
          const taken = gateway.accepted.filter((known) => known.conversation === conversation)
          expect(taken.map(({ id }) => id)).toEqual(wanted)
        }
        const first = new Set()
        for (const { id, retry } of gateway.sent) {
          expect(retry === true).toBe(first.has(id))
          first.add(id)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('what is refused for good is shown as failed, and does not hold up what follows', async () => {
    const gateway = fakeGateway(['hold', 'ack'])
    const outbox = open()
    const sender = gateway.start(outbox)
    outbox.add({ id: '1', conversation: 'c', text: 'x' })
    outbox.add({ id: '2', conversation: 'c', text: 'y' })
    sender.pump()
    sender.refused({ id: '1', code: 'forbidden', message: 'not here', retryable: false })
    await vi.advanceTimersByTimeAsync(100)
    expect(outbox.all()).toMatchObject([{ id: '1', state: 'failed', problem: 'Not here.' }])
    expect(gateway.accepted.map(({ id }) => id)).toEqual(['2'])
  })

  test('what is on its way is not sent again, nor what comes after it in its conversation', () => {
    const gateway = fakeGateway(['hold', 'hold'])
    const outbox = open()
    const sender = gateway.start(outbox)
    outbox.add({ id: '1', conversation: 'c', text: 'x' })
    outbox.add({ id: '2', conversation: 'c', text: 'y' })
    outbox.add({ id: '3', conversation: 'other', text: 'z' })
    sender.pump()
    sender.pump()
    expect(gateway.sent.map(({ id }) => id)).toEqual(['1', '3'])
  })

  test('its event says as much as an ack', () => {
    const gateway = fakeGateway(['lose ack'])
    const outbox = open()
    const sender = gateway.start(outbox)
    outbox.add({ id: '1', conversation: 'c', text: 'x' })
    sender.pump()
    sender.seen({ id: '1', conversation: 'c' })
    expect(outbox.all()).toEqual([])
  })
})
