import assert from 'node:assert/strict'
import { AssignmentLost } from '@parley/platform/ports/log'
import type { LogCheck } from './log-harness.ts'
import { appendTexts, numbered, record, rejection, textOf } from './log-ledger.ts'
import { createProbe } from './log-probe.ts'
import { assertSameList } from './same-list.ts'

const everyPartition = [0, 1, 2, 3]

export const groupChecks: LogCheck[] = [
  {
    name: '[LOG5] a new group’s only member gets every partition once, with nothing committed',
    async run(harness) {
      const log = await harness.open()
      const probe = createProbe({ deadlineMs: harness.deadlineMs, held: new Set() })
      const member = await log.join('group', harness.topic, probe.consumer)
      const count = log.partitions(harness.topic)
      await probe.until('all assigned', () => probe.assignments.length === count)
      for (const { assignment } of probe.assignments) {
        assert.equal(assignment.topic, harness.topic)
        assert.equal(assignment.committed, null)
        assert.equal(assignment.signal.aborted, false)
      }
      await member.close()
      assert.equal(probe.assignments.length, count)
      probe.assertSound()
    },
  },
  {
    name: '[LOG5] [LOG6] with 1, then 2, then 1 members each record is committed by exactly one assignment and none is lost',
    async run(harness) {
      const log = await harness.open()
      const held = new Set<number>()
      /** What was committed, by partition: ranges that must join without a hole or an overlap. */
      const committed = new Map<number, { from: number; to: number }[]>()
      const make = () =>
        createProbe({
          deadlineMs: harness.deadlineMs,
          held,
          async read(assignment, records) {
            const from = records[0]?.offset as number
            const to = (records.at(-1)?.offset as number) + 1
            // A rebalance may refuse the commit; then these records must come again.
            const stored = await assignment.commit(to).then(
              () => true,
              () => false,
            )
            if (!stored) return
            const ranges = committed.get(assignment.partition) ?? []
            committed.set(assignment.partition, [...ranges, { from, to }])
          },
        })
      const [first, second] = [make(), make()]
      const live = ({ assignments }: typeof first) =>
        assignments.filter(({ assignment }) => !assignment.signal.aborted).length
      const reached = (to: number) => () =>
        everyPartition.every((partition) => committed.get(partition)?.at(-1)?.to === to)

      const firstMember = await log.join('group', harness.topic, first.consumer)
      await appendTexts(log, harness.topic, numbered(400), everyPartition)
      await first.until('the first 400 committed', reached(100))

      const joining = log.join('group', harness.topic, second.consumer)
      await appendTexts(log, harness.topic, numbered(400), everyPartition)
      const secondMember = await joining
      await second.until('both read', () => live(first) === 2 && live(second) === 2)
      await appendTexts(log, harness.topic, numbered(400), everyPartition)
      await Promise.race([
        first.until('800 more committed', reached(300)),
        second.until('800 more committed', reached(300)),
      ])

      await secondMember.close()
      assert.equal(live(second), 0)
      await appendTexts(log, harness.topic, numbered(400), everyPartition)
      await first.until('the last 400 committed', reached(400))
      assert.equal(live(first), 4)
      await firstMember.close()
      for (const partition of everyPartition) {
        let due = 0
        for (const { from, to } of committed.get(partition) ?? []) {
          assert.equal(from, due)
          due = to
        }
        assert.equal(due, 400)
      }
      first.assertSound()
      second.assertSound()
    },
  },
  {
    name: '[LOG5] a member that doesn’t let go is cut off: its signal is aborted, others get its partitions, its commit rejects; then it is back',
    async run(harness) {
      const log = await harness.open({ quickCutOff: true })
      await appendTexts(log, harness.topic, numbered(8), everyPartition)
      let wake = () => {}
      const asleep = new Promise<void>((resolve) => {
        wake = resolve
      })
      const zombie = createProbe({
        deadlineMs: harness.deadlineMs,
        read: (_, records) => (records[0]?.offset === 0 ? asleep : Promise.resolve()),
      })
      const zombieMember = await log.join('group', harness.topic, zombie.consumer)
      await zombie.until('all asleep', () => {
        return zombie.assignments.filter(({ reads }) => reads === 1).length === 4
      })
      const before = zombie.assignments.map(({ assignment }) => assignment)

      const other = createProbe({
        deadlineMs: harness.deadlineMs,
        read: (assignment, records) => assignment.commit((records.at(-1)?.offset as number) + 1),
      })
      const otherMember = await log.join('group', harness.topic, other.consumer)
      await other.until('everything read by the other', () => other.records.length >= 8)
      assert.equal(before.length, 4)
      for (const assignment of before) {
        assert.equal(assignment.signal.aborted, true)
        assert.ok((await rejection(assignment.commit(1))) instanceof AssignmentLost)
        assert.ok((await rejection(assignment.commit(2))) instanceof AssignmentLost)
      }
      assert.ok(zombie.assignments.slice(0, 4).every(({ revoked }) => revoked === 0))

      wake()
      await zombie.until('awake and let go', () =>
        zombie.assignments.slice(0, 4).every(({ revoked }) => revoked === 1),
      )
      await zombie.until('back in the group', () => zombie.assignments.length > 4)
      await zombieMember.close()
      await otherMember.close()
      assert.deepEqual(zombie.failures, [])
      zombie.assertSound()

      const after = createProbe({ deadlineMs: harness.deadlineMs })
      const afterMember = await log.join('group', harness.topic, after.consumer)
      await after.until('assigned', () => after.assignments.length === 4)
      for (const { assignment } of after.assignments) assert.equal(assignment.committed, 2)
      await afterMember.close()
    },
  },
  {
    name: '[LOG6] what was not committed comes again, what was does not, and each group counts for itself',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(10))
      const read = async (group: string, commitAt: number | null) => {
        const probe = createProbe({
          deadlineMs: harness.deadlineMs,
          async read(assignment) {
            if (commitAt !== null) await assignment.commit(commitAt)
          },
        })
        const member = await log.join(group, harness.topic, probe.consumer)
        await probe.until('read to the end', () => probe.records.at(-1)?.record.offset === 9)
        await member.close()
        probe.assertSound()
        return probe.records.map(({ record: { offset } }) => offset)
      }
      assert.deepEqual(await read('a', 6), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      assert.deepEqual(await read('a', null), [6, 7, 8, 9])
      assert.deepEqual(await read('a', 9), [6, 7, 8, 9])
      assert.deepEqual(await read('a', null), [9])
      assert.deepEqual(await read('b', null), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    },
  },
  {
    name: '[LOG6] the reader’s start decides, before or after what was committed',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(20), [0, 1])
      for (const start of [5, 2, 8]) {
        const probe = createProbe({
          deadlineMs: harness.deadlineMs,
          start: ({ partition }) => (partition < 2 ? start : 0),
          read: (assignment) =>
            assignment.committed === null ? assignment.commit(5) : Promise.resolve(),
        })
        const member = await log.join('group', harness.topic, probe.consumer)
        await probe.until('read to both ends', () => probe.records.length === 2 * (10 - start))
        await member.close()
        probe.assertSound()
        assert.ok(probe.records.every(({ record: { offset } }) => offset >= start))
      }
    },
  },
  {
    name: '[LOG7] a commit survives opening again and never falls',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(10))
      const probe = createProbe({ deadlineMs: harness.deadlineMs })
      const member = await log.join('group', harness.topic, probe.consumer)
      await probe.until('assigned', () => probe.assignments.length === 4)
      const zero = probe.assignments.find(({ assignment }) => assignment.partition === 0)
      assert.ok(zero)
      await zero.assignment.commit(3)
      await zero.assignment.commit(7)
      await zero.assignment.commit(7)
      assert.ok((await rejection(zero.assignment.commit(6))) instanceof RangeError)
      await member.close()
      await log.close()

      const again = await harness.open()
      const later = createProbe({ deadlineMs: harness.deadlineMs })
      const laterMember = await again.join('group', harness.topic, later.consumer)
      await later.until('read on', () => later.records.length === 3)
      for (const { assignment } of later.assignments) {
        assert.equal(assignment.committed, assignment.partition === 0 ? 7 : null)
        if (assignment.partition !== 0) continue
        assert.ok((await rejection(assignment.commit(6))) instanceof RangeError)
      }
      await laterMember.close()
      assertSameList(
        later.records.map((read) => textOf(read.record)),
        ['7', '8', '9'],
      )
    },
  },
  {
    name: '[LOG7] a commit belongs to its topic and its partition alone',
    async run(harness) {
      const log = await harness.open()
      await log.append(harness.otherTopic, 0, [record('other')])
      await appendTexts(log, harness.topic, numbered(4), everyPartition)
      const probe = createProbe({
        deadlineMs: harness.deadlineMs,
        read: (assignment) =>
          assignment.partition === 0 ? assignment.commit(1) : Promise.resolve(),
      })
      const member = await log.join('group', harness.topic, probe.consumer)
      await probe.until('read', () => probe.records.length === 4)
      await member.close()
      const other = createProbe({ deadlineMs: harness.deadlineMs })
      const otherMember = await log.join('group', harness.otherTopic, other.consumer)
      await other.until('the other topic read', () => other.records.length === 1)
      await otherMember.close()
      assert.ok(other.assignments.every(({ assignment }) => assignment.committed === null))
      const again = createProbe({ deadlineMs: harness.deadlineMs })
      const againMember = await log.join('group', harness.topic, again.consumer)
      await again.until('the rest again', () => again.records.length === 3)
      await againMember.close()
      assert.ok(again.records.every(({ partition }) => partition !== 0))
    },
  },
]
