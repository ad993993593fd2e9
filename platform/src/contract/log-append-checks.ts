import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { LogCheck } from './log-harness.ts'
import { appendTexts, numbered, readAll, record, rejection, textOf } from './log-ledger.ts'
import { assertSameList } from './same-list.ts'

export const appendChecks: LogCheck[] = [
  {
    name: '[LOG1] what append acknowledged is there after the log was closed and opened again',
    async run(harness) {
      const texts = numbered(50)
      const log = await harness.open()
      await appendTexts(log, harness.topic, texts)
      await log.close()
      const again = await harness.open()
      assertSameList((await readAll(harness, again, 0)).map(textOf), texts)
    },
  },
  {
    name: '[LOG2] the records of one append take neighbouring offsets while others append',
    async run(harness) {
      const log = await harness.open()
      const first = await Promise.all(
        numbered(30).map((writer) =>
          log.append(
            harness.topic,
            1,
            [0, 1, 2, 3].map((part) => record(`${writer}.${part}`)),
          ),
        ),
      )
      const texts = (await readAll(harness, log, 1)).map(textOf)
      assert.equal(texts.length, 120)
      for (const [writer, { offset }] of first.entries()) {
        assert.deepEqual(
          texts.slice(offset, offset + 4),
          [0, 1, 2, 3].map((part) => `${writer}.${part}`),
        )
      }
    },
  },
  {
    name: '[LOG3] one append after another takes the next offset, in each partition by itself',
    async run(harness) {
      const log = await harness.open()
      for (const partition of [0, 1, 2]) {
        const { next } = await log.range(harness.topic, partition)
        for (let count = 0; count < 10; count++) {
          const appended = await log.append(harness.topic, partition, [record(`${partition}`)])
          assert.equal(appended.offset, next + count)
        }
        const range = await log.range(harness.topic, partition)
        assert.deepEqual(range, { earliest: next, next: next + 10 })
      }
      assert.equal((await readAll(harness, log, 2)).length, 10)
    },
  },
  {
    name: '[LOG3] appends in flight together each get an offset of their own, without a hole',
    async run(harness) {
      const log = await harness.open()
      const texts = numbered(300)
      const offsets = await Promise.all(
        texts.map(async (text) => (await log.append(harness.topic, 0, [record(text)])).offset),
      )
      assertSameList([...offsets].sort((a, b) => a - b).map(String), texts)
      const stored = await readAll(harness, log, 0)
      for (const [index, offset] of offsets.entries()) {
        assert.equal(textOf(stored[offset] as (typeof stored)[0]), texts[index])
      }
    },
  },
  {
    name: '[LOG3] no offset is given twice, though all was trimmed and the log opened again',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(5))
      await log.trim(harness.topic, 0, 5)
      const { offset } = await log.append(harness.topic, 0, [record('sixth')])
      assert.equal(offset, 5)
      await log.trim(harness.topic, 0, 6)
      await log.close()
      const again = await harness.open()
      assert.deepEqual(await again.range(harness.topic, 0), { earliest: 6, next: 6 })
      assert.equal((await again.append(harness.topic, 0, [record('seventh')])).offset, 6)
      assertSameList((await readAll(harness, again, 0)).map(textOf), ['seventh'])
    },
  },
  {
    name: '[LOG4] an append of no records is refused and writes nothing',
    async run(harness) {
      const log = await harness.open()
      assert.ok((await rejection(log.append(harness.topic, 0, []))) instanceof RangeError)
      assert.deepEqual(await log.range(harness.topic, 0), { earliest: 0, next: 0 })
    },
  },
  {
    name: '[LOG4] a value of maxRecordBytes arrives as it was; one byte more is refused by name, with its whole append',
    async run(harness) {
      const log = await harness.open()
      const largest = randomBytes(harness.maxRecordBytes)
      const tooLarge = { ...record(''), value: Buffer.alloc(harness.maxRecordBytes + 1) }
      await log.append(harness.topic, 0, [{ ...record(''), value: largest }])
      const error = await rejection(log.append(harness.topic, 0, [record('small'), tooLarge]))
      assert.ok(error instanceof RangeError)
      assert.match(
        error.message,
        new RegExp(`${harness.maxRecordBytes + 1}\\D.*${harness.maxRecordBytes}\\b`),
      )
      await log.append(harness.topic, 0, [record('')])
      const [first, second, ...rest] = await readAll(harness, log, 0)
      assert.ok(first && second && largest.equals(first.value))
      assert.equal(second.value.byteLength, 0)
      assert.equal(rest.length, 0)
    },
  },
  {
    name: '[LOG4] an unknown topic or partition is refused with RangeError everywhere',
    async run(harness) {
      const log = await harness.open()
      const { topic } = harness
      const count = log.partitions(topic)
      assert.ok(count >= 4)
      assert.throws(() => log.partitions('nowhere'), RangeError)
      const consumer = { assigned: () => Promise.reject(new Error('unused')), failed() {} }
      const calls = [
        log.append('nowhere', 0, [record('')]),
        log.range('nowhere', 0),
        log.trim('nowhere', 0, 0),
        log.join('group', 'nowhere', consumer),
        ...[count, -1, 0.5].flatMap((partition) => [
          log.append(topic, partition, [record('')]),
          log.range(topic, partition),
          log.trim(topic, partition, 0),
        ]),
      ]
      for (const error of await Promise.all(calls.map(rejection))) {
        assert.ok(error instanceof RangeError)
      }
    },
  },
  {
    name: '[LOG11] [R15] the epoch is a UUID, the same after opening again, and in every record beside its headers',
    async run(harness) {
      const log = await harness.open()
      const { epoch } = log
      assert.match(epoch, /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/)
      const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
      await log.append(harness.topic, 0, [
        { headers: { schema: '7', traceparent }, value: Buffer.of(1) },
      ])
      await log.append(harness.otherTopic, 0, [record('plain')])
      await log.close()
      const again = await harness.open()
      assert.equal(again.epoch, epoch)
      const [traced] = await readAll(harness, again, 0)
      assert.deepEqual(traced?.headers, { schema: '7', epoch, traceparent })
      const [plain] = await readAll(harness, again, 0, harness.otherTopic)
      assert.deepEqual(plain?.headers, { schema: '1', epoch })
    },
  },
  {
    name: '[LOG12] close waits for appends in flight, and afterwards every call rejects',
    async run(harness) {
      const log = await harness.open()
      const inFlight = numbered(20).map((text) => log.append(harness.topic, 3, [record(text)]))
      await log.close()
      assert.equal((await Promise.all(inFlight)).length, 20)
      const consumer = { assigned: () => Promise.reject(new Error('unused')), failed() {} }
      await rejection(log.append(harness.topic, 0, [record('late')]))
      await rejection(log.range(harness.topic, 0))
      await rejection(log.trim(harness.topic, 0, 0))
      await rejection(log.join('group', harness.topic, consumer))
      const again = await harness.open()
      assert.equal((await readAll(harness, again, 3)).length, 20)
      assert.equal((await readAll(harness, again, 0)).length, 0)
    },
  },
]
