import type { Database, Sql } from '@parley/platform/ports/database'
import { topics } from '@parley/proto/record-headers'
import { expect, test, vi } from 'vitest'
import { untilProjected } from './backup-projected.ts'

/** A log whose command partitions end at `ends`, and a database whose checkpoints say `reached`. */
function parts(ends: number[], reached: (number | undefined)[], epoch = 1) {
  const asked = { times: 0 }
  const log = {
    partitions: () => ends.length,
    range: async (topic: string, partition: number) => {
      expect(topic).toBe(topics.commands)
      return { earliest: 0, next: ends[partition] ?? 0 }
    },
  }
  const rows = () =>
    reached.flatMap((offset, partition) => (offset === undefined ? [] : [{ partition, offset }]))
  const sql: Sql = {
    async query<Row>(_text: string, params?: readonly unknown[]) {
      asked.times += 1
      return (params?.[0] === epoch ? rows() : []) as Row[]
    },
  }
  const db = { snapshot: (work: (s: Sql) => unknown) => work(sql) } as unknown as Database
  return { log, db, epoch: 1, asked }
}

test('[G1][R2] waits until every partition’s checkpoint is where its commands ended when asked', async () => {
  const ends = [5, 0, 9]
  const reached: (number | undefined)[] = [5, undefined, 8]
  const world = parts(ends, reached)
  let settled = false
  const waited = untilProjected(world).then(() => {
    settled = true
  })
  await vi.waitFor(() => expect(world.asked.times).toBeGreaterThan(2))
  expect(settled).toBe(false)
  /* What comes after the question is not waited for. */
  ends[0] = 500
  reached[2] = 9
  await waited
})

test('[R15] a checkpoint of another epoch says nothing of this log; the wait is bounded', async () => {
  const waited = untilProjected({ ...parts([5], [5], 2), timeoutMs: 200 })
  await expect(waited).rejects.toThrow(/partition 0 did not reach the database within 0.2 s/)
})
