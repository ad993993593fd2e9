import assert from 'node:assert/strict'
import { OffsetOutOfRange } from '@parley/platform/ports/log'
import type { LogCheck } from './log-harness.ts'
import { appendTexts, numbered, readAll, rejection, textOf } from './log-ledger.ts'
import { createProbe } from './log-probe.ts'
import { assertSameList } from './same-list.ts'

export const trimChecks: LogCheck[] = [
  {
    name: '[LOG10] trim raises earliest for good and keeps everything from there on',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(600), [0, 1])
      await log.trim(harness.topic, 0, 290)
      assert.deepEqual(await log.range(harness.topic, 0), { earliest: 290, next: 300 })
      await log.trim(harness.topic, 0, 100)
      assert.deepEqual(await log.range(harness.topic, 0), { earliest: 290, next: 300 })
      const kept = numbered(600).filter((_, index) => index % 2 === 0 && index >= 580)
      assertSameList((await readAll(harness, log, 0)).map(textOf), kept)
      await log.close()
      const again = await harness.open()
      assert.deepEqual(await again.range(harness.topic, 0), { earliest: 290, next: 300 })
      assertSameList((await readAll(harness, again, 0)).map(textOf), kept)
      assert.equal((await readAll(harness, again, 1)).length, 300)
    },
  },
  {
    name: '[LOG10] trim past the end is refused with OffsetOutOfRange and takes nothing',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(3))
      assert.ok((await rejection(log.trim(harness.topic, 0, 4))) instanceof OffsetOutOfRange)
      assert.deepEqual(await log.range(harness.topic, 0), { earliest: 0, next: 3 })
    },
  },
  {
    name: '[LOG10] [R15] a start below earliest or past the end stops the partition with OffsetOutOfRange',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(40), [0, 1, 2, 3])
      await log.trim(harness.topic, 0, 5)
      const starts = [4, 11, 10, 0]
      const probe = createProbe({
        deadlineMs: harness.deadlineMs,
        start: ({ partition }) => starts[partition] ?? 0,
      })
      const member = await log.join('group', harness.topic, probe.consumer)
      await probe.until('both stopped and partition 3 read', () => {
        const read = probe.records.filter(({ partition }) => partition === 3).length
        return probe.failures.length === 2 && read === 10
      })
      await member.close()
      probe.assertSound()
      assert.deepEqual(probe.failures.map(({ partition }) => partition).sort(), [0, 1])
      for (const { error } of probe.failures) assert.ok(error instanceof OffsetOutOfRange)
      assert.ok(probe.records.every(({ partition }) => partition === 3))
    },
  },
  {
    name: '[LOG10] a reader overtaken by a trim reads on without a hole or stops with OffsetOutOfRange',
    async run(harness) {
      const log = await harness.open()
      await appendTexts(log, harness.topic, numbered(5))
      let goOn = () => {}
      const paused = new Promise<void>((resolve) => {
        goOn = resolve
      })
      const probe = createProbe({ deadlineMs: harness.deadlineMs, read: () => paused })
      const member = await log.join('group', harness.topic, probe.consumer)
      await probe.until('a batch read', () => probe.records.length > 0)
      await appendTexts(log, harness.topic, numbered(400))
      await log.trim(harness.topic, 0, 400)
      goOn()
      await probe.until('stopped, or everything read', () => {
        return probe.failures.length > 0 || probe.records.length === 405
      })
      await member.close()
      probe.assertSound()
      for (const { error } of probe.failures) assert.ok(error instanceof OffsetOutOfRange)
    },
  },
]
