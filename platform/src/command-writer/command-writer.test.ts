import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdbLog } from '@parley/platform/lmdb/log'
import type { Log, NewRecord } from '@parley/platform/ports/log'
import { createMetrics } from '@parley/platform/process/metrics'
import { createInProcessRpc } from '@parley/platform/rpc/in-process'
import { codecFor } from '@parley/proto/codec'
import { type Command, decodeCommandRecord } from '@parley/proto/commands'
import type { Ack, ErrorFrame } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { partitionOf } from '@parley/proto/partition'
import { topics } from '@parley/proto/record-headers'
import { ReplyService } from '@parley/proto/rpc/replies_pb'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { CommandBatches, type Pending } from './command-batches.ts'
import type { CommandDraft, CommandWriter } from './command-writer.ts'
import { type CommandWriterOptions, createCommandWriter } from './create.ts'

const sender = newId()
const conversation = newId()
const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const send = (text: string, extra: Partial<CommandDraft> = {}): CommandDraft =>
  ({ type: 'send', id: newId(), conversation, sender, body: { text }, ...extra }) as CommandDraft
const textOf = (command: Command) => (command.type === 'send' ? command.body.text : undefined)

/** A log that keeps what is appended and resolves or rejects each append when the test says so. */
function steeredLog(partitions = 1) {
  const appends: { partition: number; records: NewRecord[]; end: (error?: Error) => void }[] = []
  const log: Pick<Log, 'partitions' | 'append'> = {
    partitions: () => partitions,
    append: (_topic, partition, records) =>
      new Promise((resolve, reject) => {
        appends.push({
          partition,
          records,
          end: (error) => (error ? reject(error) : resolve({ offset: appends.length })),
        })
      }),
  }
  const commands = (n: number) =>
    decodeCommandRecord(appends[n]?.records[0]?.value as Uint8Array).commands
  return { log: log as Log, appends, commands }
}

const open: CommandWriter[] = []
afterEach(async () => {
  for (const writer of open.splice(0)) await writer.close()
})

function writerOn(log: Log, more: Partial<CommandWriterOptions> = {}) {
  const rpc = createInProcessRpc()
  const writer = createCommandWriter({
    log,
    address: 'here',
    rules: 1,
    now: Date.now,
    maxWaiting: 100,
    maxWaitingBytes: 1024 * 1024,
    maxRecordBytes: 64 * 1024,
    replyTimeoutMs: 10_000,
    logger: quiet,
    metrics: createMetrics(),
    ...more,
  })
  open.push(writer)
  rpc.serve('here', writer.routes)
  const deliver = (correlation: number, frame: Ack | ErrorFrame) =>
    rpc.client(ReplyService, 'here').deliver({
      replies: [{ correlation, frame: codecFor('parley.v1.msgpack').encodeServerFrame(frame) }],
    })
  return { writer, deliver }
}
const ack = (command: Command, seq = 1): Ack => ({
  type: 'ack',
  id: command.id,
  conversation: command.conversation,
  seq,
  at: command.at,
})

describe('batching', () => {
  test('what arrives while an append is in flight leaves in the next, in order', async () => {
    const { log, appends, commands } = steeredLog()
    const { writer } = writerOn(log)
    for (const text of ['a', 'b']) writer.submit(send(text), () => {})
    await vi.waitFor(() => expect(appends).toHaveLength(1))
    for (const text of ['c', 'd', 'e']) writer.submit(send(text), () => {})
    expect(commands(0).map(textOf)).toEqual(['a', 'b'])
    appends[0]?.end()
    await vi.waitFor(() => expect(appends).toHaveLength(2))
    expect(commands(1).map(textOf)).toEqual(['c', 'd', 'e'])
  })

  test('a record is no larger than its bound, and order is kept across records', async () => {
    const { log, appends, commands } = steeredLog()
    const { writer } = writerOn(log, { maxRecordBytes: 4_000 })
    const texts = Array.from({ length: 12 }, (_, i) => `${i}`.padEnd(800, 'é'))
    for (const text of texts) writer.submit(send(text), () => {})
    const seen: (string | undefined)[] = []
    for (let n = 0; seen.length < texts.length; n++) {
      await vi.waitFor(() => expect(appends.length).toBeGreaterThan(n))
      expect(appends[n]?.records[0]?.value.length).toBeLessThanOrEqual(4_000)
      seen.push(...commands(n).map(textOf))
      appends[n]?.end()
    }
    expect(seen).toEqual(texts)
    expect(appends.length).toBeGreaterThan(3)
  })

  test('a command carries its conversation’s partition, the stamp, the rules and the address', async () => {
    const { log, appends, commands } = steeredLog(12)
    const { writer } = writerOn(log, { now: () => 1_900_000_000_000, rules: 7 })
    writer.submit(send('a'), () => {})
    await vi.waitFor(() => expect(appends).toHaveLength(1))
    expect(appends[0]?.partition).toBe(partitionOf(conversation, 12))
    expect(appends[0]?.records[0]?.headers).toEqual({ schema: '1' })
    expect(commands(0)[0]).toMatchObject({ at: 1_900_000_000_000, rules: 7 })
    const { replyTo } = decodeCommandRecord(appends[0]?.records[0]?.value as Uint8Array)
    expect(replyTo).toBe('here')
  })
})

describe('answers', () => {
  test('[G1] an owner’s reply reaches the one who waits, with its bytes, once', async () => {
    const { log, appends, commands } = steeredLog()
    const { writer, deliver } = writerOn(log)
    const replies: [unknown, Uint8Array][] = []
    writer.submit(send('a'), (frame, bytes) => replies.push([frame, bytes]))
    await vi.waitFor(() => expect(appends).toHaveLength(1))
    appends[0]?.end()
    const command = commands(0)[0] as Command
    await deliver(command.correlation, ack(command))
    await deliver(command.correlation, ack(command))
    expect(replies).toHaveLength(1)
    expect(replies[0]?.[0]).toEqual(ack(command))
    expect(
      codecFor('parley.v1.msgpack').decodeServerMessage(replies[0]?.[1] as Uint8Array),
    ).toEqual({ ok: true, frames: [{ ok: true, frame: ack(command) }] })
    await writer.drained()
  })

  test('a reply for another command under the same number is ignored', async () => {
    const { log, appends, commands } = steeredLog()
    const { writer, deliver } = writerOn(log)
    const onReply = vi.fn()
    writer.submit(send('a'), onReply)
    await vi.waitFor(() => expect(appends).toHaveLength(1))
    const command = commands(0)[0] as Command
    await deliver(command.correlation, { ...ack(command), id: newId() })
    expect(onReply).not.toHaveBeenCalled()
    await deliver(command.correlation, ack(command))
    expect(onReply).toHaveBeenCalledOnce()
  })

  test('a rejected append answers its commands `unavailable` once, whatever comes later', async () => {
    const { log, appends, commands } = steeredLog()
    const { writer, deliver } = writerOn(log)
    const onReply = vi.fn()
    writer.submit(send('a'), onReply)
    await vi.waitFor(() => expect(appends).toHaveLength(1))
    appends[0]?.end(new Error('away'))
    await writer.drained()
    expect(onReply.mock.calls[0]?.[0]).toMatchObject({ code: 'unavailable', retryable: true })
    const command = commands(0)[0] as Command
    await deliver(command.correlation, ack(command))
    expect(onReply).toHaveBeenCalledOnce()
  })

  test('[G5] who waits behind a rejected append in the same conversation does not overtake', async () => {
    const { log, appends, commands } = steeredLog()
    const { writer } = writerOn(log)
    const outcomes: string[] = []
    const note = (name: string) => (frame: Ack | ErrorFrame) =>
      void outcomes.push(`${name} ${frame.type === 'error' ? frame.code : frame.type}`)
    writer.submit(send('first'), note('first'))
    await vi.waitFor(() => expect(appends).toHaveLength(1))
    writer.submit(send('behind'), note('behind'))
    writer.submit(send('other', { conversation: newId() }), note('other'))
    appends[0]?.end(new Error('away'))
    await vi.waitFor(() => expect(appends).toHaveLength(2))
    expect(outcomes).toEqual(['first unavailable', 'behind unavailable'])
    expect(commands(1).map(textOf)).toEqual(['other'])
  })

  test('[G8] no reply in time is `unavailable`, and who never left is not written later', async () => {
    const { log, appends, commands } = steeredLog()
    let elapsed = 1_000
    const { writer } = writerOn(log, { elapsedMs: () => elapsed, replyTimeoutMs: 40 })
    const replies: string[] = []
    const note = (frame: Ack | ErrorFrame) => void replies.push(frame.type)
    const old = { id: '00000000-0000-7000-8000-000000000000' }
    writer.submit(send('in flight', old), note)
    await vi.waitFor(() => expect(appends).toHaveLength(1))
    writer.submit(send('queued', old), note)
    elapsed = 1_030
    writer.submit(send('queued later', old), note)
    writer.submit(send('elsewhere', { ...old, conversation: newId() }), note)
    elapsed = 1_045
    await vi.waitFor(() => expect(replies).toEqual(['error', 'error', 'error']))
    appends[0]?.end()
    await vi.waitFor(() => expect(appends).toHaveLength(2))
    expect(commands(1).map(textOf)).toEqual(['elsewhere'])
  })

  test('[G8] replies are timed by a clock that never steps, `at` by the one that may', async () => {
    const { log, appends, commands } = steeredLog()
    let [now, elapsed] = [1_900_003_600_000, 5_000]
    const { writer } = writerOn(log, {
      now: () => now,
      elapsedMs: () => elapsed,
      replyTimeoutMs: 40,
    })
    const answered: string[] = []
    const note = (name: string) => () => void answered.push(name)
    writer.submit(send('before'), note('before'))
    now -= 3_600_000
    elapsed += 20
    writer.submit(send('after'), note('after'))
    await vi.waitFor(() => expect(appends).toHaveLength(1))
    expect(commands(0).map(({ at }) => at)).toEqual([1_900_003_600_000, 1_900_000_000_000])
    elapsed += 20
    await vi.waitFor(() => expect(answered).toEqual(['before']))
    elapsed += 20
    await vi.waitFor(() => expect(answered).toEqual(['before', 'after']))
    appends[0]?.end()
  })

  test('close answers everyone who waits and refuses the rest', async () => {
    const { log } = steeredLog()
    const { writer } = writerOn(log)
    const onReply = vi.fn()
    writer.submit(send('a'), onReply)
    await writer.close()
    expect(onReply).toHaveBeenCalledOnce()
    expect(writer.submit(send('b'), onReply)).toMatchObject({ ok: false, code: 'unavailable' })
  })
})

describe('refusals', () => {
  test('an id more than 5 minutes ahead of the stamp is `invalid`', () => {
    const { log } = steeredLog()
    const now = 1_900_000_000_000
    const { writer } = writerOn(log, { now: () => now })
    const at = (ms: number) => send('a', { id: newId(ms) })
    expect(writer.submit(at(now + limits.idAheadMs), () => {})).toEqual({ ok: true })
    expect(writer.submit(at(now + limits.idAheadMs + 2), () => {})).toMatchObject({
      ok: false,
      code: 'invalid',
    })
  })

  test('[G8] [S8] [L2] beyond its bounds it is `overloaded` with a time to come again', () => {
    const { log } = steeredLog()
    const few = writerOn(log, { maxWaiting: 2 }).writer
    expect([1, 2, 3].map(() => few.submit(send('a'), () => {}).ok)).toEqual([true, true, false])
    const small = writerOn(log, { maxWaitingBytes: 1_000 }).writer
    const refused = small.submit(send('x'.repeat(1_000)), () => {})
    expect(refused).toMatchObject({ code: 'overloaded', retryAfterMs: expect.any(Number) })
  })
})

test('[G5] any appends, rejections and timeouts: answered once, and nobody overtakes in its conversation', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('offer' as const), who: fc.nat(2) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const), who: fc.nat(1) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('append' as const), who: fc.nat(1) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('reject' as const), who: fc.nat(1) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('expire' as const), who: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('reply' as const), who: fc.nat(9) }) },
  )
  const conversations = [newId(), newId(), newId()]
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), (steps) => {
      const batches = new CommandBatches({
        partitions: 2,
        partitionOf: (id) => conversations.indexOf(id) % 2,
        rules: 1,
        maxWaiting: 20,
        maxWaitingBytes: 10_000,
        maxRecordBytes: 450,
        firstCorrelation: 2 ** 32 - 3,
      })
      const inFlight: (Pending[] | undefined)[] = []
      const written: Pending[] = []
      const offered: string[] = []
      const to = new Map<string, string>()
      const answered = new Map<string, 'reply' | 'unavailable'>()
      const end = (list: Pending[], how: 'reply' | 'unavailable') => {
        for (const { command } of list) {
          expect(answered.has(command.id), 'answered once').toBe(false)
          answered.set(command.id, how)
        }
      }
      // A session refuses later sends once one came back; so it offers only to conversations without a refusal.
      const stopped = new Set<string>()
      let now = 0
      for (const { do: what, who } of steps) {
        now += 1
        if (what === 'offer') {
          const target = conversations[who] as string
          const id = newId(now)
          if (stopped.has(target)) continue
          to.set(id, target)
          const draft = send('x', { id, conversation: target })
          if (batches.offer(draft, { at: now, sinceMs: now }, () => {}).ok) offered.push(id)
          else stopped.add(target)
        } else if (what === 'take') {
          const batch = batches.take(who)
          if (batch.length > 0) inFlight[who] = batch
        } else if (what === 'append' && inFlight[who]) {
          written.push(...inFlight[who])
          inFlight[who] = undefined
          batches.appended(who)
        } else if (what === 'reject' && inFlight[who]) {
          end(batches.rejected(who, inFlight[who]), 'unavailable')
          for (const { command } of inFlight[who]) stopped.add(command.conversation)
          inFlight[who] = undefined
        } else if (what === 'expire') {
          const late = batches.expire(now - who)
          end(late, 'unavailable')
          for (const { command } of late) stopped.add(command.conversation)
        } else if (what === 'reply') {
          const one = written[who]
          if (one === undefined) continue
          const found = batches.answer(one.command.correlation, one.command.id)
          if (found !== null) end([found], 'reply')
        }
      }
      const order = written.map(({ command }) => offered.indexOf(command.id))
      for (const id of conversations) {
        const own = order.filter((_, i) => written[i]?.command.conversation === id)
        expect(own, 'the log has them in the order they came').toEqual(
          own.toSorted((a, b) => a - b),
        )
        // Nobody who was offered before a written one was left out: it would have been overtaken.
        const lastWritten = Math.max(-1, ...own)
        const before = offered.filter((one, i) => i <= lastWritten && to.get(one) === id)
        expect(own.map((i) => offered[i])).toEqual(before)
      }
      end(batches.expire(Number.POSITIVE_INFINITY), 'unavailable')
      expect([...answered.keys()].sort()).toEqual(offered.toSorted())
      expect(batches.waiting + batches.waitingBytes).toBe(0)
    }),
    { numRuns: 1_000 },
  )
})

test('on the LMDB log: durable records that decode to what was submitted', async () => {
  const path = await mkdtemp(join(tmpdir(), 'parley-writer-'))
  const log = await openLmdbLog({
    path,
    topics: { [topics.commands]: 4 },
    maxRecordBytes: 1024 * 1024,
    maxReadBytes: 1024 * 1024,
  })
  try {
    const { writer } = writerOn(log)
    const drafts = Array.from({ length: 20 }, (_, i) => send(`${i}`, { conversation: newId() }))
    for (const draft of drafts) expect(writer.submit(draft, () => {})).toEqual({ ok: true })
    const counts = async () => {
      const ranges = [0, 1, 2, 3].map((partition) => log.range(topics.commands, partition))
      return (await Promise.all(ranges)).reduce((sum, range) => sum + range.next, 0)
    }
    const used = new Set(drafts.map((draft) => partitionOf(draft.conversation, 4)))
    await vi.waitFor(async () => expect(await counts()).toBe(used.size))
  } finally {
    await log.close()
    await rm(path, { recursive: true })
  }
})
