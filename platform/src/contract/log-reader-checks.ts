import assert from 'node:assert/strict'
import type { LogCheck } from './log-harness.ts'
import { aborted, appendTexts, numbered, record, textOf } from './log-ledger.ts'
import { createProbe } from './log-probe.ts'
import { assertSameList } from './same-list.ts'

const everyPartition = [0, 1, 2, 3]

export const readerChecks: LogCheck[] = [
  {
    name: '[LOG3] a reader gets the records in order with what was appended, across many batches',
    async run(harness) {
      const log = await harness.open()
      const probe = createProbe({ deadlineMs: harness.deadlineMs })
      const member = await log.join('group', harness.topic, probe.consumer)
      for (let round = 0; round < 20; round++) {
        await appendTexts(log, harness.topic, numbered(200, `${round}.`), everyPartition)
      }
      await probe.until('all read', () => probe.records.length === 4000)
      await member.close()
      probe.assertSound()
      for (const partition of everyPartition) {
        const texts = probe.records
          .filter((read) => read.partition === partition)
          .map((read) => textOf(read.record))
        const due = numbered(20).flatMap((round) =>
          numbered(200, `${round}.`).filter((_, index) => index % 4 === partition),
        )
        assertSameList(texts, due)
      }
    },
  },
  {
    name: '[LOG8] a record appended while the reader waits for more reaches it',
    async run(harness) {
      const log = await harness.open()
      const probe = createProbe({ deadlineMs: harness.deadlineMs })
      const member = await log.join('group', harness.topic, probe.consumer)
      await probe.until('assigned', () => probe.assignments.length === 4)
      for (let count = 1; count <= 10; count++) {
        await log.append(harness.topic, count % 4, [record(`${count}`)])
        await probe.until(`record ${count}`, () => probe.records.length === count)
      }
      await member.close()
      assertSameList(
        probe.records.map((read) => textOf(read.record)),
        numbered(11).slice(1),
      )
    },
  },
  {
    name: '[LOG8] a partition whose reader has not resolved waits; the others go on',
    async run(harness) {
      const log = await harness.open()
      let goOn = () => {}
      const paused = new Promise<void>((resolve) => {
        goOn = resolve
      })
      const probe = createProbe({
        deadlineMs: harness.deadlineMs,
        read: ({ partition }) => (partition === 0 ? paused : Promise.resolve()),
      })
      const member = await log.join('group', harness.topic, probe.consumer)
      await log.append(harness.topic, 0, [record('first')])
      await probe.until('the first read', () => probe.records.length === 1)
      await log.append(harness.topic, 0, [record('second')])
      await appendTexts(log, harness.topic, numbered(300), [1, 2, 3])
      await probe.until('the others read', () => probe.records.length >= 301)
      const ofZero = () => probe.records.filter(({ partition }) => partition === 0)
      assert.deepEqual(
        ofZero().map((read) => textOf(read.record)),
        ['first'],
      )
      goOn()
      await probe.until('the second read', () => ofZero().length === 2)
      await member.close()
      probe.assertSound()
    },
  },
  {
    name: '[LOG9] a read that rejects stops its partition alone, told once; a new assignment begins where it committed',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(40), everyPartition)
      const fault = new Error('planted')
      const probe = createProbe({
        deadlineMs: harness.deadlineMs,
        async read(assignment) {
          if (assignment.partition !== 2) return
          await assignment.commit(4)
          throw fault
        },
      })
      const bystander = createProbe({ deadlineMs: harness.deadlineMs })
      const member = await log.join('group', harness.topic, probe.consumer)
      const other = await log.join('bystander', harness.topic, bystander.consumer)
      const of = (partition: number) =>
        probe.records.filter((read) => read.partition === partition).length
      await probe.until('the failure told', () => probe.failures.length > 0)
      const readOfTwo = of(2)
      await appendTexts(log, harness.topic, numbered(40), everyPartition)
      await probe.until('the others read', () =>
        [0, 1, 3].every((partition) => of(partition) === 20),
      )
      await bystander.until('the other group read', () => bystander.records.length === 80)
      assert.deepEqual(probe.failures, [{ partition: 2, error: fault }])
      assert.equal(of(2), readOfTwo)
      await member.close()
      await other.close()
      probe.assertSound()

      const later = createProbe({
        deadlineMs: harness.deadlineMs,
        start: ({ partition, committed }) => (partition === 2 ? (committed ?? 0) : 20),
      })
      const laterMember = await log.join('group', harness.topic, later.consumer)
      await later.until('read from the commit on', () => later.records.length === 16)
      await laterMember.close()
      assert.equal(later.records[0]?.record.offset, 4)
      later.assertSound()
    },
  },
  {
    name: '[LOG9] an assigned that rejects stops its partition alone',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(40), everyPartition)
      const fault = new Error('planted')
      const probe = createProbe({
        deadlineMs: harness.deadlineMs,
        async assigned({ partition }) {
          if (partition === 1) throw fault
        },
      })
      const member = await log.join('group', harness.topic, probe.consumer)
      await probe.until('told, and the others read', () => {
        return probe.failures.length > 0 && probe.records.length === 30
      })
      await member.close()
      assert.deepEqual(probe.failures, [{ partition: 1, error: fault }])
      assert.ok(probe.records.every(({ partition }) => partition !== 1))
    },
  },
  {
    name: '[LOG9] [LOG12] close aborts the signal, waits for the read, then for revoked; an error after it is not told',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(4), everyPartition)
      const order: string[] = []
      const probe = createProbe({
        deadlineMs: harness.deadlineMs,
        async read({ partition, signal }) {
          await aborted(signal)
          order.push(`read ${partition}`)
          throw new Error('let go because of the signal')
        },
      })
      const member = await log.join('group', harness.topic, probe.consumer)
      await probe.until('all in a read', () => probe.records.length === 4)
      await member.close()
      assert.equal(order.length, 4)
      assert.ok(probe.assignments.every(({ revoked }) => revoked === 1))
      assert.deepEqual(probe.failures, [])
      await member.close()
      probe.assertSound()
    },
  },
  {
    name: '[LOG9] [LOG12] a revoked that rejects is told and keeps nobody from going on',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(8), everyPartition)
      const fault = new Error('planted')
      const probe = createProbe({
        deadlineMs: harness.deadlineMs,
        async revoked({ partition }) {
          if (partition === 3) throw fault
        },
      })
      const member = await log.join('group', harness.topic, probe.consumer)
      await probe.until('read', () => probe.records.length === 8)
      await member.close()
      await probe.until('told', () => probe.failures.length === 1)
      assert.deepEqual(probe.failures, [{ partition: 3, error: fault }])
      const next = createProbe({ deadlineMs: harness.deadlineMs })
      const nextMember = await log.join('group', harness.topic, next.consumer)
      await next.until('read again', () => next.records.length === 8)
      await nextMember.close()
    },
  },
  {
    name: '[LOG12] close of the log makes every member leave',
    async run(harness) {
      const log = await harness.open()
      const probes = ['a', 'b'].map((group) => ({
        group,
        probe: createProbe({ deadlineMs: harness.deadlineMs }),
      }))
      for (const { group, probe } of probes) {
        await log.join(group, harness.topic, probe.consumer)
        await probe.until('assigned', () => probe.assignments.length === 4)
      }
      await log.close()
      for (const { probe } of probes) {
        assert.ok(probe.assignments.every(({ revoked }) => revoked === 1))
        probe.assertSound()
      }
    },
  },
]
