import type { Assignment, Log, PartitionReader } from '@parley/platform/ports/log'
import { createLeaseWriter, type LeaseWriterParts } from './lease-writer.ts'
import { latestOf, readNotices } from './notices.ts'
import { type SweepParts, startSweep } from './sweep.ts'

export interface PartitionParts extends SweepParts, LeaseWriterParts {
  log: Log
}

export interface PartitionPresence extends PartitionReader {
  readonly partition: number
  readonly assignment: Assignment
  /** The first offset whose notices are not in the store yet. */
  readonly next: number
  /** As this assignment found or committed it; null when the group has none. */
  readonly committed: number | null
  /** Users whose change is not told yet. */
  readonly waiting: number
  /** Commits `next`, where it has moved; a failure matters to nobody, since what comes again changes nothing. */
  commit(): Promise<void>
}

/**
 * One partition of the sessions log, and the shard of the store that belongs to it. It begins at the group's committed
 * offset, or at the first record where there is none or that is no longer kept: whatever is older than a lease is left
 * out as it comes, so that no history is brought back to life. Rejects when records are missing at the end.
 */
export async function openPartition(
  parts: PartitionParts,
  { assignment, stopping }: { assignment: Assignment; stopping: AbortSignal },
): Promise<PartitionPresence> {
  const { log, logger } = parts
  const { topic, partition } = assignment
  const signal = AbortSignal.any([assignment.signal, stopping])
  const { earliest, next: end } = await log.range(topic, partition)
  const start = Math.max(assignment.committed ?? earliest, earliest)
  if (start > end) {
    throw new Error(
      `${topic}/${partition} ends at ${end} but the committed offset is at ${start}: records are missing`,
    )
  }
  const writer = createLeaseWriter(parts)
  const sweep = startSweep(parts, partition)
  let next = start
  let committed = assignment.committed

  async function commit(): Promise<void> {
    const upTo = next
    if (upTo === committed) return
    try {
      await assignment.commit(upTo)
      committed = upTo
    } catch (error) {
      logger.debug({ err: error, partition }, "the group's offset was not committed")
    }
  }

  return {
    partition,
    assignment,
    start,
    get next() {
      return next
    },
    get committed() {
      return committed
    },
    get waiting() {
      return sweep.waiting
    },
    commit,
    async read(records) {
      const place = { partition: `${topic}/${partition}`, next, epoch: log.epoch }
      const notices = latestOf(readNotices(records, place))
      // Else whoever has the partition next begins before these.
      if (!(await writer.write(notices, signal))) return
      next += records.length
      sweep.written(notices)
    },
    async revoked() {
      await commit()
      await sweep.stop()
    },
  }
}
