import { expect, it } from 'vitest'
import { createMemoryBus } from './bus.ts'

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('the condition did not come to hold')
    await new Promise(setImmediate)
  }
}

it('[G8] [BUS7] beyond its bounds publish rejects, and what was taken in arrives', async () => {
  const bus = createMemoryBus({ maxQueued: 3, maxQueuedBytes: 100 })
  const heard: number[] = []
  await bus.subscribe('a', (payload) => heard.push(payload.length))
  const outcomes = await Promise.allSettled(
    [50, 49, 2, 1, 0].map((size) => bus.publish('a', new Uint8Array(size))),
  )
  expect(outcomes.map(({ status }) => status)).toEqual([
    'fulfilled',
    'fulfilled',
    'rejected',
    'fulfilled',
    'rejected',
  ])
  await until(() => heard.length === 3)
  expect(heard).toEqual([50, 49, 1])
  await bus.publish('a', new Uint8Array(100))
  await until(() => heard.length === 4)
})

it('a channel without subscribers takes no room', async () => {
  const bus = createMemoryBus({ maxQueued: 1 })
  for (let count = 0; count < 10; count++) await bus.publish('nobody', new Uint8Array(10))
})

it('a long queue is delivered in order over several turns of the event loop', async () => {
  const bus = createMemoryBus()
  const heard: number[] = []
  let turns = 0
  let counting = true
  const count = () => {
    turns += 1
    if (counting) setImmediate(count)
  }
  await bus.subscribe('a', (payload) => {
    heard.push(payload[0] as number)
    const end = performance.now() + 1
    while (performance.now() < end);
  })
  const payloads = Array.from({ length: 50 }, (_, index) => Uint8Array.of(index))
  await Promise.all(payloads.map((payload) => bus.publish('a', payload)))
  setImmediate(count)
  await until(() => heard.length === 50)
  counting = false
  expect(heard).toEqual(payloads.map(([first]) => first))
  expect(turns).toBeGreaterThan(3)
})

it('[BUS5] handlers may subscribe and unsubscribe while they are called', async () => {
  const bus = createMemoryBus()
  const heard: string[] = []
  const second = () => heard.push('second')
  const added = () => heard.push('added')
  const first = () => {
    heard.push('first')
    void bus.unsubscribe('a', first)
    void bus.subscribe('a', added)
  }
  await bus.subscribe('a', first)
  await bus.subscribe('a', second)
  await bus.publish('a', new Uint8Array())
  await bus.publish('a', new Uint8Array())
  await until(() => heard.length === 4)
  expect(heard).toEqual(['first', 'second', 'second', 'added'])
})

it('without onHandlerError what a handler throws is an uncaught exception', async () => {
  const bus = createMemoryBus()
  const uncaught: unknown[] = []
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => uncaught.push(error))
  try {
    const fault = new Error('planted')
    await bus.subscribe('a', () => {
      throw fault
    })
    await bus.publish('a', new Uint8Array())
    await until(() => uncaught.length === 1)
    expect(uncaught).toEqual([fault])
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of others) process.on('uncaughtException', listener)
  }
})
