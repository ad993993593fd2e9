import type { Consumer } from '@parley/platform/ports/log'
import { topics } from '@parley/proto/record-headers'
import { openPartition, type PartitionParts, type PartitionPresence } from './partition-presence.ts'
import { startReports } from './reports.ts'

export const presenceGroup = 'presence-service'

export interface SessionConsumer {
  /** Partitions that stopped, and why; they stay so until assigned anew. A reason for not being ready. */
  readonly stopped: ReadonlyMap<number, Error>
  /** Leaves the group; what was taken from the store is told of first, in bounds. */
  close(): Promise<void>
}

/** Joins the group that turns the sessions log into presence; every partition given to this process is run. */
export async function consumeSessions(parts: PartitionParts): Promise<SessionConsumer> {
  const { log, logger, metrics } = parts
  const stopping = new AbortController()
  const stopped = new Map<number, Error>()
  const open = new Set<PartitionPresence>()

  const consumer: Consumer = {
    async assigned(assignment) {
      const { partition } = assignment
      const opened = await openPartition(parts, { assignment, stopping: stopping.signal })
      stopped.delete(partition)
      metrics.stopped.set({ partition }, 0)
      open.add(opened)
      const { start } = opened
      logger.info({ partition, start, committed: assignment.committed }, 'partition taken over')
      return {
        start,
        read: (records) => opened.read(records),
        async revoked() {
          open.delete(opened)
          metrics.lag.remove({ partition })
          metrics.waiting.remove({ partition })
          await opened.revoked()
        },
      }
    },
    failed(partition, error) {
      stopped.set(partition, error)
      metrics.stopped.set({ partition }, 1)
      logger.error({ err: error, partition }, 'the partition stopped; its users go offline')
    },
  }

  const membership = await log.join(presenceGroup, topics.sessions, consumer)
  const reports = startReports({ ...parts, partitions: () => [...open] })
  return {
    stopped,
    async close() {
      stopping.abort()
      await reports.stop()
      await membership.close()
    },
  }
}
