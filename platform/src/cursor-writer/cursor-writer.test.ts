import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdbLog } from '@parley/platform/lmdb/log'
import type { Log, NewRecord } from '@parley/platform/ports/log'
import { createMetrics } from '@parley/platform/process/metrics'
import { type Cursor, decodeCursorRecord } from '@parley/proto/cursor-records'
import { newId } from '@parley/proto/ids'
import { partitionOf } from '@parley/proto/partition'
import { recordSchema, topics } from '@parley/proto/record-headers'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type CursorWriterOptions, createCursorWriter } from './cursor-writer.ts'

const quiet = { warn() {}, error() {} }
/** So many that both of two partitions have some. */
const ids = Array.from({ length: 32 }, () => newId())
const cursor = (conversation: number, user: number, seq: number): Cursor => ({
  conversation: ids[conversation] as string,
  user: ids[user] as string,
  seq,
})

interface Steered {
  topic: string
  partition: number
  records: NewRecord[]
  cursors: Cursor[]
  end(error?: Error): void
}

/** A log that keeps what is appended and resolves or rejects each append when the test says so. */
function steeredLog(partitions = 1) {
  const appends: Steered[] = []
  const log: Pick<Log, 'partitions' | 'append'> = {
    partitions: () => partitions,
    append: (topic, partition, records) =>
      new Promise((resolve, reject) => {
        const cursors = records.flatMap((r) => decodeCursorRecord(r.value))
        const end = (error?: Error) => (error ? reject(error) : resolve({ offset: 0 }))
        appends.push({ topic, partition, records, cursors, end })
      }),
  }
  return { log, appends }
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => {
  vi.useRealTimers()
})

function writerOn(log: CursorWriterOptions['log'], more: Partial<CursorWriterOptions> = {}) {
  const metrics = createMetrics()
  const writer = createCursorWriter({ log, logger: quiet, metrics, flushMs: 100, ...more })
  return { writer, metrics }
}

/** Resolves once all that is ready to run has run; time stands still. */
const settled = () => vi.advanceTimersByTimeAsync(0)

test('[G9] positions gather for flushMs, and of each user’s in a conversation the greatest leaves', async () => {
  const { log, appends } = steeredLog()
  const { writer } = writerOn(log)
  for (const [c, u, seq] of [
    [0, 1, 5],
    [0, 1, 9],
    [0, 1, 7],
    [0, 2, 3],
    [3, 1, 1],
  ] as const) {
    expect(writer.advance(cursor(c, u, seq))).toBe(true)
  }
  await vi.advanceTimersByTimeAsync(99)
  expect(appends).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(appends).toHaveLength(1)
  expect(appends[0]).toMatchObject({
    topic: topics.cursors,
    partition: 0,
    records: [{ headers: { schema: recordSchema } }],
    cursors: [cursor(0, 1, 9), cursor(0, 2, 3), cursor(3, 1, 1)],
  })
})

test('one append of a partition is in flight; what comes meanwhile goes in the next', async () => {
  const { log, appends } = steeredLog()
  const { writer } = writerOn(log)
  writer.advance(cursor(0, 1, 1))
  await vi.advanceTimersByTimeAsync(100)
  writer.advance(cursor(0, 1, 2))
  await vi.advanceTimersByTimeAsync(10_000)
  expect(appends).toHaveLength(1)
  appends[0]?.end()
  await vi.advanceTimersByTimeAsync(100)
  expect(appends.map((a) => a.cursors)).toEqual([[cursor(0, 1, 1)], [cursor(0, 1, 2)]])
})

test('each conversation’s cursors go to its partition, and partitions do not wait for each other', async () => {
  const { log, appends } = steeredLog(8)
  const { writer } = writerOn(log)
  for (let c = 0; c < ids.length; c++) writer.advance(cursor(c, 0, 1))
  await vi.advanceTimersByTimeAsync(100)
  const used = new Set(ids.map((id) => partitionOf(id, 8)))
  expect(new Set(appends.map((a) => a.partition))).toEqual(used)
  for (const { partition, cursors } of appends) {
    for (const { conversation } of cursors) expect(partitionOf(conversation, 8)).toBe(partition)
  }
})

test('[R3] an append that failed is repeated as it was, for as long as it takes', async () => {
  const { log, appends } = steeredLog()
  const { writer } = writerOn(log, { retry: { firstMs: 1, maxMs: 50 } })
  writer.advance(cursor(0, 1, 4))
  const flushed = writer.flushed()
  for (let attempt = 0; attempt < 30; attempt++) {
    await vi.advanceTimersByTimeAsync(50)
    expect(appends).toHaveLength(attempt + 1)
    appends[attempt]?.end(new Error('away'))
    await settled()
  }
  await vi.advanceTimersByTimeAsync(50)
  appends.at(-1)?.end()
  await flushed
  expect(new Set(appends.map((a) => a.cursors[0]?.seq))).toEqual(new Set([4]))
})

test('flushed hastens what waits and resolves when it is durable, whatever comes after', async () => {
  const { log, appends } = steeredLog()
  const { writer } = writerOn(log, { flushMs: 60_000 })
  await writer.flushed()
  writer.advance(cursor(0, 1, 1))
  let done = 0
  const first = writer.flushed().then(() => done++)
  writer.advance(cursor(0, 2, 1))
  const second = writer.flushed().then(() => done++)
  writer.advance(cursor(0, 3, 1))
  await settled()
  expect([appends.length, done]).toEqual([1, 0])
  appends[0]?.end()
  await first
  await settled()
  expect(done).toBe(1)
  appends[1]?.end()
  await second
  // Nobody waits for the rest, so it gathers.
  expect(appends.map((a) => a.cursors.length)).toEqual([1, 2])
})

test('flushed of one conversation does not wait for another one’s partition', async () => {
  const { log, appends } = steeredLog(2)
  const { writer } = writerOn(log, { flushMs: 60_000 })
  const other = ids.findIndex((id) => partitionOf(id, 2) !== partitionOf(ids[0] as string, 2))
  writer.advance(cursor(0, 1, 1))
  writer.advance(cursor(other, 1, 1))
  const flushed = writer.flushed(ids[0])
  await settled()
  expect(appends.map((a) => a.cursors)).toEqual([[cursor(0, 1, 1)]])
  appends[0]?.end()
  await flushed
})

test('[G8] at the bound a further user is refused, a later position of one who waits is not', async () => {
  const { log, appends } = steeredLog()
  const { writer, metrics } = writerOn(log, { maxWaiting: 2 })
  expect(writer.advance(cursor(0, 1, 1))).toBe(true)
  expect(writer.advance(cursor(0, 2, 1))).toBe(true)
  expect(writer.advance(cursor(0, 3, 1))).toBe(false)
  expect(writer.advance(cursor(0, 1, 2))).toBe(true)
  const refused = await metrics.registry.getSingleMetric('parley_cursors_refused_total')?.get()
  expect(refused?.values[0]?.value).toBe(1)
  await vi.advanceTimersByTimeAsync(100)
  expect(writer.advance(cursor(0, 3, 1))).toBe(false)
  appends[0]?.end()
  await settled()
  expect(writer.advance(cursor(0, 3, 1))).toBe(true)
})

test('[G8] a record holds so many; the rest follows at once', async () => {
  const { log, appends } = steeredLog()
  const { writer } = writerOn(log, { maxCursorsPerRecord: 3 })
  for (let user = 0; user < 8; user++) writer.advance(cursor(0, user, 1))
  await vi.advanceTimersByTimeAsync(100)
  for (let n = 0; n < 3; n++) {
    appends[n]?.end()
    await settled()
  }
  expect(appends.map((a) => a.cursors.length)).toEqual([3, 3, 2])
})

test('a record that the log refuses for ever is given up, told, and holds nothing else up', async () => {
  const { log, appends } = steeredLog()
  const { writer } = writerOn(log)
  writer.advance(cursor(0, 1, 1))
  const flushed = writer.flushed()
  appends[0]?.end(new RangeError('too large'))
  await expect(flushed).rejects.toThrow('given up')
  writer.advance(cursor(0, 2, 1))
  const next = writer.flushed()
  appends[1]?.end()
  await next
})

test('closing appends what waits, once more, and takes nothing after', async () => {
  const { log, appends } = steeredLog()
  const { writer } = writerOn(log, { flushMs: 60_000 })
  writer.advance(cursor(0, 1, 1))
  const closed = writer.close()
  expect(writer.advance(cursor(0, 2, 1))).toBe(false)
  appends[0]?.end()
  await closed
  expect(appends.map((a) => a.cursors)).toEqual([[cursor(0, 1, 1)]])
  await writer.close()
})

test('closing while the log is away ends after one more try, and tells who waited', async () => {
  const { log, appends } = steeredLog()
  const { writer } = writerOn(log, { retry: { firstMs: 60_000, maxMs: 60_000 } })
  writer.advance(cursor(0, 1, 1))
  const flushed = expect(writer.flushed()).rejects.toThrow('given up')
  appends[0]?.end(new Error('away'))
  await settled()
  const closed = writer.close()
  await settled()
  appends[1]?.end(new Error('away'))
  await closed
  await flushed
  expect(appends).toHaveLength(2)
})

test('[G9] whatever is advanced, fails and is asked for: each user’s greatest position gets into the log', async () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('advance' as const), n: fc.nat(11), seq: fc.nat(50) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('end' as const), n: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), n: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), n: fc.nat(120) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const), n: fc.nat(1) }) },
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
      const { log, appends } = steeredLog(2)
      const { writer } = writerOn(log, {
        maxCursorsPerRecord: 2,
        retry: { firstMs: 1, maxMs: 5 },
      })
      const greatest = new Map<string, number>()
      const durable = new Map<string, number>()
      const keyOf = (c: Cursor) => c.conversation + c.user
      const ended = new Set<Steered>()
      const waits: Promise<void>[] = []
      const end = (append: Steered | undefined, error?: Error) => {
        if (append === undefined) return
        ended.add(append)
        append.end(error)
        if (error === undefined) {
          for (const c of append.cursors) {
            durable.set(keyOf(c), Math.max(durable.get(keyOf(c)) ?? 0, c.seq))
          }
        }
      }
      const inFlight = () => appends.filter((a) => !ended.has(a))
      for (const { do: what, n, ...rest } of steps) {
        if (what === 'advance') {
          const c = cursor(n % 3, n % 4, (rest as { seq: number }).seq)
          writer.advance(c)
          greatest.set(keyOf(c), Math.max(greatest.get(keyOf(c)) ?? 0, c.seq))
        } else if (what === 'end') end(inFlight()[n])
        else if (what === 'fail') end(inFlight()[n], new Error('away'))
        else if (what === 'flush') {
          const then = new Map(greatest)
          const check = () => {
            for (const [key, seq] of then) {
              expect(durable.get(key), 'flushed says durable').toBeGreaterThanOrEqual(seq)
            }
          }
          waits.push(writer.flushed().then(check))
        }
        await vi.advanceTimersByTimeAsync(what === 'wait' ? n : 0)
        const busy = inFlight().map((a) => a.partition)
        expect(new Set(busy).size, 'one append in flight a partition').toBe(busy.length)
      }
      const closed = writer.close()
      for (let turn = 0; turn < 50; turn++) {
        for (const append of inFlight()) end(append)
        await settled()
      }
      await closed
      await Promise.all(waits)
      expect(durable).toEqual(greatest)
    }),
    { numRuns: 300 },
  )
})

test('on the LMDB log: durable records that decode to what was advanced', async () => {
  vi.useRealTimers()
  const path = await mkdtemp(join(tmpdir(), 'parley-cursors-'))
  const log = await openLmdbLog({
    path,
    topics: { [topics.cursors]: 4 },
    maxRecordBytes: 1024 * 1024,
    maxReadBytes: 1024 * 1024,
  })
  try {
    const { writer } = writerOn(log, { flushMs: 1 })
    for (let c = 0; c < ids.length; c++) writer.advance(cursor(c, 0, c + 1))
    await writer.flushed()
    const ranges = await Promise.all([0, 1, 2, 3].map((p) => log.range(topics.cursors, p)))
    const used = new Set(ids.map((id) => partitionOf(id, 4)))
    expect(ranges.filter((r) => r.next > 0)).toHaveLength(used.size)
    await writer.close()
  } finally {
    await log.close()
    await rm(path, { recursive: true })
  }
})
