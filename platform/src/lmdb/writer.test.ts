import { expect, it } from 'vitest'
import type { Root } from './log-file.ts'
import { createWriter, type Write } from './writer.ts'

const limits = {
  maxPendingBytes: 100,
  maxPendingWrites: 4,
  maxTransactionBytes: 30,
  commitTimeoutMs: 50,
}

/** LMDB's side: each transaction is settled by the test. */
function createRoot() {
  const transactions: { puts: string[]; commit(): void; abort(error: Error): void }[] = []
  let puts: string[] = []
  const root = {
    batch(work: () => void) {
      puts = []
      work()
      const inIt = puts
      return new Promise<boolean>((resolve, reject) => {
        transactions.push({ puts: inIt, commit: () => resolve(true), abort: reject })
      })
    },
  } as unknown as Root
  const events: string[] = []
  const write = (name: string, bytes = 1, kind: Write['kind'] = 'append'): Write => ({
    kind,
    bytes,
    put() {
      puts.push(name)
      return []
    },
    done: () => events.push(`done ${name}`),
    recover: () => events.push(`recover ${name}`),
  })
  /** Waits for the transaction of this number. */
  async function transaction(number: number) {
    const deadline = Date.now() + 2_000
    for (;;) {
      const found = transactions[number]
      if (found !== undefined) return found
      if (Date.now() > deadline) throw new Error(`no transaction ${number}`)
      await new Promise(setImmediate)
    }
  }
  return { root, write, events, transactions, transaction }
}

it('what arrives during a transaction goes out together in the next, bounded by bytes', async () => {
  const { root, write, transaction, events } = createRoot()
  const writer = createWriter(root, limits)
  const all = [writer.submit(write('a'))]
  const first = await transaction(0)
  all.push(writer.submit(write('b', 20)), writer.submit(write('c', 10)), writer.submit(write('d')))
  first.commit()
  const second = await transaction(1)
  expect(second.puts).toEqual(['b', 'c'])
  second.commit()
  const third = await transaction(2)
  expect(third.puts).toEqual(['d'])
  third.commit()
  await Promise.all(all)
  expect(events).toEqual(['done a', 'done b', 'done c', 'done d'])
})

it('[G8] beyond the bounds it refuses at once', async () => {
  const { root, write, transaction } = createRoot()
  const writer = createWriter(root, limits)
  const first = writer.submit(write('large', 90))
  await expect(writer.submit(write('b', 20))).rejects.toThrow(/90 bytes wait/)
  const more = ['c', 'd', 'e'].map((name) => writer.submit(write(name)))
  await expect(writer.submit(write('f'))).rejects.toThrow(/4 writes wait/)
  for (const number of [0, 1]) (await transaction(number)).commit()
  await Promise.all([first, ...more])
})

it('a failed transaction rejects its writes, looks up what is there, and the next goes on', async () => {
  const { root, write, transaction, events } = createRoot()
  const writer = createWriter(root, limits)
  const failing = Promise.allSettled(['a', 'b'].map((name) => writer.submit(write(name))))
  const first = await transaction(0)
  first.abort(new Error('no space'))
  expect((await failing).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(events).toEqual(['recover a', 'recover b'])
  const next = writer.submit(write('c'))
  const second = await transaction(1)
  second.commit()
  await next
})

it('upkeep is tried again without the appends that did not fit', async () => {
  const { root, write, transaction, events } = createRoot()
  const writer = createWriter(root, limits)
  const append = writer.submit(write('append'))
  const upkeep = writer.submit(write('trim', 0, 'upkeep'))
  const first = await transaction(0)
  first.abort(new Error('no space'))
  await expect(append).rejects.toThrow('no space')
  const second = await transaction(1)
  expect(second.puts).toEqual(['trim'])
  second.commit()
  await upkeep
  expect(events).toEqual(['recover append', 'recover trim', 'done trim'])
})

it('[G8] a disk that does not answer: writes reject as unknown, more are refused, and it goes on once there is an answer', async () => {
  const { root, write, transaction, events } = createRoot()
  const writer = createWriter(root, limits)
  const waiting = writer.submit(write('a'))
  const first = await transaction(0)
  const behind = writer.submit(write('b'))
  await Promise.all([
    expect(waiting).rejects.toThrow(/not answered for 50 ms: unknown/),
    expect(behind).rejects.toThrow(/not answered for 50 ms/),
  ])
  await expect(writer.submit(write('c'))).rejects.toThrow(/not answered for 50 ms/)
  expect(events).toEqual([])
  first.commit()
  const deadline = Date.now() + 2_000
  while (events.length === 0 && Date.now() < deadline) await new Promise(setImmediate)
  expect(events).toEqual(['recover a', 'recover b'])
  const next = writer.submit(write('d'))
  const second = await transaction(1)
  second.commit()
  await next
})

it('close waits for what was taken in and refuses the rest', async () => {
  const { root, write, transaction } = createRoot()
  const writer = createWriter(root, { ...limits, commitTimeoutMs: 5_000 })
  const taken = writer.submit(write('a'))
  const closed = writer.close()
  await expect(writer.submit(write('b'))).rejects.toThrow(/closed/)
  const first = await transaction(0)
  first.commit()
  await closed
  await taken
})

it('[G8] close does not wait for ever for a disk that does not answer', async () => {
  const { root, write, transaction } = createRoot()
  const writer = createWriter(root, limits)
  const taken = writer.submit(write('a'))
  const closed = writer.close()
  await Promise.all([
    expect(taken).rejects.toThrow(/unknown whether/),
    expect(closed).rejects.toThrow(/left open: no answer from the disk for 50 ms/),
  ])
  const first = await transaction(0)
  first.commit()
})
