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

/** What each log's checkpoint is called; both say the first offset that is not wholly in the database. */
const checkpointsOf = {
  [topics.commands]:
    'select partition, up_to_offset as "offset" from partition_checkpoints where epoch = $1',
  [topics.cursors]:
    'select partition, next_cursor as "offset" from cursor_checkpoints where epoch = $1',
} as const
type ProjectedTopic = keyof typeof checkpointsOf

/**
 * Resolves once the database holds all that was acked before the call: [G1] what was acked stands in the log, and [R2],
 * [R4] a checkpoint at or past the log's present end says that everything before it is decided and projected; the same
 * with read positions and their log ([G9]). Rejects with a sentence when that takes too long, as when a partition has
 * stopped.
 */
export async function untilProjected(parts: ProjectedParts): Promise<void> {
  const { timeoutMs = 60_000 } = parts
  const deadlineMs = performance.now() + timeoutMs
  const wanted = await Promise.all([endsOf(parts, topics.commands), endsOf(parts, topics.cursors)])
  for (const { topic, ends } of wanted) {
    for (;;) {
      const reached = await checkpoints(parts, topic)
      const behind = [...ends].find(([partition, end]) => (reached.get(partition) ?? 0) < end)
      if (behind === undefined) break
      if (performance.now() > deadlineMs) {
        throw new Error(
          `${topic}/${behind[0]} did not reach the database within ${timeoutMs / 1000} s: ask /readyz whether a partition has stopped, and try again`,
        )
      }
      await sleep(pollMs)
    }
  }
}

/** Where each partition ends now. */
async function endsOf({ log }: ProjectedParts, topic: ProjectedTopic) {
  const partitions = Array.from({ length: log.partitions(topic) }, (_, p) => p)
  const ends = await Promise.all(
    partitions.map(async (p) => [p, (await log.range(topic, p)).next] as const),
  )
  return { topic, ends: new Map(ends) }
}

async function checkpoints(
  { db, epoch }: ProjectedParts,
  topic: ProjectedTopic,
): Promise<Map<number, number>> {
  const rows = await db.snapshot((sql) =>
    sql.query<{ partition: number; offset: number }>(checkpointsOf[topic], [epoch]),
  )
  return new Map(rows.map((row) => [row.partition, row.offset]))
}
