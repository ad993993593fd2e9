import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Bus, BusHandler } from '@parley/platform/ports/bus'
import type { BusCheck, BusHarness } from './bus-harness.ts'
import { assertSameList } from './same-list.ts'

interface Ear {
  handler: BusHandler
  readonly heard: string[]
  /** Waits until so many were heard, or rejects after the deadline. */
  until(count: number): Promise<void>
}

function createEar(deadlineMs: number, onPayload?: BusHandler): Ear {
  const heard: string[] = []
  let look = () => {}
  return {
    handler(payload, channel) {
      heard.push(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString())
      look()
      onPayload?.(payload, channel)
    },
    heard,
    until(count) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new Error(`within ${deadlineMs} ms ${heard.length} heard, not ${count}`))
        }, deadlineMs)
        look = () => {
          if (heard.length < count) return
          clearTimeout(timer)
          resolve()
        }
        look()
      })
    },
  }
}

async function openBoth(harness: BusHarness): Promise<{
  publisher: Bus
  subscriber: Bus
  errors: { error: unknown; channel: string }[]
}> {
  const errors: { error: unknown; channel: string }[] = []
  const both = await harness.open({
    onHandlerError: (error, channel) => errors.push({ error, channel }),
  })
  return { ...both, errors }
}

const bytes = (text: string): Uint8Array => Buffer.from(text)

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${index}`)
}

export const busChecks: readonly BusCheck[] = [
  {
    name: '[BUS1] [BUS3] every subscriber of the channel hears each publish once, others nothing',
    async run(harness) {
      const { publisher, subscriber } = await openBoth(harness)
      const ears = [1, 2, 3].map(() => createEar(harness.deadlineMs))
      const stranger = createEar(harness.deadlineMs)
      for (const { handler } of ears) await subscriber.subscribe('a', handler)
      await subscriber.subscribe('b', stranger.handler)
      const texts = numbered(100)
      for (const text of texts) await publisher.publish('a', bytes(text))
      // What one publisher sent after on another channel has no order; so each channel ends with a mark of its own.
      await publisher.publish('a', bytes('end'))
      await publisher.publish('b', bytes('end'))
      await Promise.all([...ears.map((ear) => ear.until(101)), stranger.until(1)])
      for (const { heard } of ears) assertSameList(heard, [...texts, 'end'])
      assertSameList(stranger.heard, ['end'])
    },
  },
  {
    name: '[BUS1] what is published without a subscriber is kept for nobody',
    async run(harness) {
      const { publisher, subscriber } = await openBoth(harness)
      const first = createEar(harness.deadlineMs)
      await publisher.publish('a', bytes('early'))
      await subscriber.subscribe('b', first.handler)
      await publisher.publish('b', bytes('passed'))
      await first.until(1)
      const ear = createEar(harness.deadlineMs)
      await subscriber.subscribe('a', ear.handler)
      await publisher.publish('a', bytes('late'))
      await ear.until(1)
      assertSameList(ear.heard, ['late'])
    },
  },
  {
    name: '[BUS1] after unsubscribe resolved nothing is heard, by that handler alone',
    async run(harness) {
      const { publisher, subscriber } = await openBoth(harness)
      const [gone, stays] = [createEar(harness.deadlineMs), createEar(harness.deadlineMs)]
      await subscriber.subscribe('a', gone.handler)
      await subscriber.subscribe('a', stays.handler)
      await publisher.publish('a', bytes('1'))
      await Promise.all([gone.until(1), stays.until(1)])
      await subscriber.unsubscribe('a', gone.handler)
      await publisher.publish('a', bytes('2'))
      await stays.until(2)
      await subscriber.unsubscribe('a', gone.handler)
      await publisher.publish('a', bytes('3'))
      await stays.until(3)
      assertSameList(gone.heard, ['1'])
      assertSameList(stays.heard, ['1', '2', '3'])
    },
  },
  {
    name: '[BUS2] publishes of one publisher arrive in order, awaited one by one or not',
    async run(harness) {
      const { publisher, subscriber } = await openBoth(harness)
      const ear = createEar(harness.deadlineMs)
      await subscriber.subscribe('a', ear.handler)
      const texts = numbered(3_000)
      const handedOver = texts.slice(0, 2_000).map((text) => publisher.publish('a', bytes(text)))
      await Promise.all(handedOver)
      for (const text of texts.slice(2_000)) await publisher.publish('a', bytes(text))
      await ear.until(3_000)
      assertSameList(ear.heard, texts)
    },
  },
  {
    name: '[BUS3] what is published from within a handler arrives, after what was published before',
    async run(harness) {
      const { publisher, subscriber } = await openBoth(harness)
      const ear = createEar(harness.deadlineMs, (payload) => {
        if (Buffer.from(payload).toString() === '0')
          void publisher.publish('a', bytes('from within'))
      })
      await subscriber.subscribe('a', ear.handler)
      await Promise.all(numbered(3).map((text) => publisher.publish('a', bytes(text))))
      await ear.until(4)
      assertSameList(ear.heard, ['0', '1', '2', 'from within'])
    },
  },
  {
    name: '[BUS4] any bytes arrive as they were, with the channel’s name, the empty payload too',
    async run(harness) {
      const { publisher, subscriber } = await openBoth(harness)
      const payloads = [randomBytes(65_536), Buffer.alloc(0), Buffer.of(0, 255, 13, 10, 0)]
      const got: { hex: string; channel: string }[] = []
      const ear = createEar(harness.deadlineMs, (payload, channel) => {
        got.push({ hex: Buffer.from(payload).toString('hex'), channel })
      })
      const channel = 'conversation:öß 世界'
      await subscriber.subscribe(channel, ear.handler)
      for (const payload of payloads) await publisher.publish(channel, payload)
      await ear.until(3)
      assert.ok(got.every((one) => one.channel === channel))
      assertSameList(
        got.map(({ hex }) => hex),
        payloads.map((payload) => payload.toString('hex')),
      )
    },
  },
  {
    name: '[BUS5] a handler is never called inside publish or subscribe',
    async run(harness) {
      const { publisher, subscriber } = await openBoth(harness)
      let inside = false
      let calledInside = 0
      const ear = createEar(harness.deadlineMs, () => {
        if (inside) calledInside += 1
      })
      const during = <T>(call: () => T): T => {
        inside = true
        try {
          return call()
        } finally {
          inside = false
        }
      }
      await during(() => subscriber.subscribe('a', ear.handler))
      const pending = numbered(50).map((text) => during(() => publisher.publish('a', bytes(text))))
      const other = createEar(harness.deadlineMs)
      await during(() => subscriber.subscribe('a', other.handler))
      await Promise.all(pending)
      await ear.until(50)
      assert.equal(calledInside, 0)
    },
  },
  {
    name: '[BUS5] a handler that throws is told of and hurts no other',
    async run(harness) {
      const { publisher, subscriber, errors } = await openBoth(harness)
      const fault = new Error('planted')
      const thrower = createEar(harness.deadlineMs, () => {
        throw fault
      })
      const [before, after] = [createEar(harness.deadlineMs), createEar(harness.deadlineMs)]
      for (const { handler } of [before, thrower, after]) await subscriber.subscribe('a', handler)
      for (const text of numbered(10)) await publisher.publish('a', bytes(text))
      await Promise.all([before.until(10), thrower.until(10), after.until(10)])
      for (const { heard } of [before, thrower, after]) assertSameList(heard, numbered(10))
      assert.equal(errors.length, 10)
      for (const told of errors) assert.deepEqual(told, { error: fault, channel: 'a' })
    },
  },
  {
    name: '[BUS6] a handler subscribed twice is called once, one unsubscribe ends it, and its other channels go on',
    async run(harness) {
      const { publisher, subscriber } = await openBoth(harness)
      const [ear, witness] = [createEar(harness.deadlineMs), createEar(harness.deadlineMs)]
      for (const channel of ['a', 'a', 'b']) await subscriber.subscribe(channel, ear.handler)
      await subscriber.subscribe('a', witness.handler)
      await publisher.publish('a', bytes('a1'))
      await publisher.publish('a', bytes('a2'))
      await ear.until(2)
      assertSameList(ear.heard, ['a1', 'a2'])
      await subscriber.unsubscribe('a', ear.handler)
      await publisher.publish('a', bytes('a3'))
      await witness.until(3)
      await publisher.publish('b', bytes('b1'))
      await ear.until(3)
      assertSameList(ear.heard, ['a1', 'a2', 'b1'])
    },
  },
  {
    name: '[BUS7] after close no handler is called, and publish and subscribe reject',
    async run(harness) {
      const { publisher, subscriber } = await openBoth(harness)
      const ear = createEar(harness.deadlineMs)
      await subscriber.subscribe('a', ear.handler)
      await publisher.publish('a', bytes('1'))
      await ear.until(1)
      const late = publisher.publish('a', bytes('2')).catch(() => {})
      await subscriber.close()
      const atClose = ear.heard.length
      await late
      await publisher.close()
      await assert.rejects(publisher.publish('a', bytes('3')))
      await assert.rejects(subscriber.subscribe('a', ear.handler))
      await new Promise(setImmediate)
      assert.equal(ear.heard.length, atClose)
    },
  },
]
