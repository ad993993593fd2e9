import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '@parley/platform/ports/database'
import type { Log } from '@parley/platform/ports/log'
import { topics } from '@parley/proto/record-headers'

export interface ProjectedParts {
  log: Pick<Log, 'partitions' | 'range'>
  db: Database
  /** The number of the log's epoch. */
  epoch: number
  /** How long it may take. By itself a minute. */
  timeoutMs?: number
}

const pollMs = 50

/**
 * Resolves once the database holds all that was acked before the call: [G1] an ack's command stands in the log, and [R2],
 * [R4] a checkpoint at or past the log's present end says that every command before it is decided and projected. Rejects
 * with a sentence when that takes too long, as when a partition has stopped.
 */
export async function untilProjected(parts: ProjectedParts): Promise<void> {
  const { log, timeoutMs = 60_000 } = parts
  const deadlineMs = performance.now() + timeoutMs
  const partitions = Array.from({ length: log.partitions(topics.commands) }, (_, p) => p)
  const ends = await Promise.all(
    partitions.map(async (p) => (await log.range(topics.commands, p)).next),
  )
  for (;;) {
    const reached = await checkpoints(parts)
    const behind = partitions.filter((p) => (reached.get(p) ?? 0) < (ends[p] ?? 0))
    if (behind.length === 0) return
    if (performance.now() > deadlineMs) {
      throw new Error(
        `partition ${behind[0]} did not reach the database within ${timeoutMs / 1000} s: ask /readyz whether it has stopped, and try again`,
      )
    }
    await sleep(pollMs)
  }
}

/** By partition: the first offset of `commands` that is not wholly projected. */
async function checkpoints({ db, epoch }: ProjectedParts): Promise<Map<number, number>> {
  const rows = await db.snapshot((sql) =>
    sql.query<{ partition: number; offset: number }>(
      'select partition, up_to_offset as "offset" from partition_checkpoints where epoch = $1',
      [epoch],
    ),
  )
  return new Map(rows.map((row) => [row.partition, row.offset]))
}
