import type { Database, Sql } from '@parley/platform/ports/database'
import { topics } from '@parley/proto/record-headers'
import { expect, test, vi } from 'vitest'
import { untilProjected } from './backup-projected.ts'

interface State {
  commands: number[]
  cursors: number[]
}

/** A log whose partitions end at `ends`, and a database whose checkpoints say `reached`, in that epoch. */
function parts(ends: State, reached: { [K in keyof State]: (number | undefined)[] }, epoch = 1) {
  const asked = { times: 0 }
  const endsOf = (topic: string) => (topic === topics.commands ? ends.commands : ends.cursors)
  const log = {
    partitions: (topic: string) => endsOf(topic).length,
    async range(topic: string, partition: number) {
      expect([topics.commands, topics.cursors]).toContain(topic)
      return { earliest: 0, next: endsOf(topic)[partition] ?? 0 }
    },
  }
  const sql: Sql = {
    async query<Row>(text: string, params?: readonly unknown[]) {
      asked.times += 1
      const offsets = text.includes('cursor_checkpoints') ? reached.cursors : reached.commands
      const rows = offsets.flatMap((offset, partition) =>
        offset === undefined ? [] : [{ partition, offset }],
      )
      return (params?.[0] === epoch ? rows : []) as Row[]
    },
  }
  const db = { snapshot: (work: (s: Sql) => unknown) => work(sql) } as unknown as Database
  return { log, db, epoch: 1, asked }
}

test('[G1][R2][G9] waits until commands and cursors are where they ended when asked, in every partition', async () => {
  const ends = { commands: [5, 0, 9], cursors: [2, 3] }
  const reached: Record<keyof State, (number | undefined)[]> = {
    commands: [5, undefined, 8],
    cursors: [2, undefined],
  }
  const world = parts(ends, reached)
  let settled = false
  const waited = untilProjected(world).then(() => {
    settled = true
  })
  const asksMore = async () => {
    const before = world.asked.times
    await vi.waitFor(() => expect(world.asked.times).toBeGreaterThan(before + 2))
  }
  await asksMore()
  expect(settled).toBe(false)
  /* What comes after the question is not waited for. */
  ends.commands[0] = 500
  reached.commands[2] = 9
  await asksMore()
  expect(settled).toBe(false)
  reached.cursors[1] = 3
  await waited
})

test('[R15] a checkpoint of another epoch says nothing of this log; the wait is bounded', async () => {
  const at = { commands: [5], cursors: [0] }
  const waited = untilProjected({ ...parts(at, at, 2), timeoutMs: 200 })
  await expect(waited).rejects.toThrow(/parley.commands\/0 did not reach the database within 0.2 s/)
})
