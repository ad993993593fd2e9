import { setTimeout as delay } from 'node:timers/promises'
import type { Consumer, Membership } from '@parley/platform/ports/log'
import { topics } from '@parley/proto/record-headers'
import {
  CheckpointWentBack,
  openProjector,
  type PartitionProjector,
  type ProjectorParts,
} from './partition-projector.ts'
import { startReports } from './reports.ts'
import { AssignmentEnded } from './retry.ts'
import type { StorageWorkerSettings } from './settings.ts'

export const storageGroup = 'storage-worker'

export interface EventConsumer {
  /** Partitions that stopped, and why; they stay so until assigned anew. A reason for not being ready. */
  readonly stopped: ReadonlyMap<number, Error>
  /** Leaves the group once what is being written is written. */
  close(): Promise<void>
}

/** Joins the group that projects the events log, and projects every partition given to this process. */
export async function consumeEvents(
  parts: ProjectorParts,
  settings: StorageWorkerSettings,
): Promise<EventConsumer> {
  const { log, logger, metrics } = parts
  const stopping = new AbortController()
  const stopped = new Map<number, Error>()
  const open = new Map<number, PartitionProjector>()
  let membership: Membership | undefined
  let rejoining: Promise<void> | undefined

  const consumer: Consumer = {
    async assigned(assignment) {
      const { partition } = assignment
      const projector = await openProjector(parts, {
        assignment,
        settings,
        stopping: stopping.signal,
      })
      stopped.delete(partition)
      metrics.stopped.set({ partition }, 0)
      if (!assignment.signal.aborted) open.set(partition, projector)
      assignment.signal.addEventListener('abort', () => forget(projector), { once: true })
      const { start } = projector
      logger.info({ partition, start, committed: assignment.committed }, 'partition taken over')
      return projector
    },
    failed(partition, error) {
      if (error instanceof AssignmentEnded) return
      const projector = open.get(partition)
      if (projector !== undefined) forget(projector)
      if (error instanceof CheckpointWentBack) {
        logger.warn({ err: error, partition }, 'reading again from the checkpoint')
        rejoining ??= rejoin().finally(() => {
          rejoining = undefined
        })
        return
      }
      stopped.set(partition, error)
      metrics.stopped.set({ partition }, 1)
      logger.error({ err: error, partition }, 'the partition stopped; nothing of it is stored')
    },
  }

  function forget(projector: PartitionProjector): void {
    if (open.get(projector.partition) !== projector) return
    open.delete(projector.partition)
    metrics.lag.remove({ partition: projector.partition })
  }

  /** A reader can't go back, so its partition must be assigned anew. */
  async function rejoin(): Promise<void> {
    await leave()
    while (!stopping.signal.aborted) {
      try {
        membership = await log.join(storageGroup, topics.events, consumer)
        return
      } catch (error) {
        logger.warn({ err: error }, 'the group can not be joined')
        await delay(settings.retryMaxMs, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
  }

  async function leave(): Promise<void> {
    const left = membership
    membership = undefined
    try {
      await left?.close()
    } catch (error) {
      logger.warn({ err: error }, 'the group was not left in order')
    }
  }

  membership = await log.join(storageGroup, topics.events, consumer)
  const reports = startReports({
    ...{ log, logger, metrics, settings },
    projectors: () => [...open.values()],
  })
  return {
    stopped,
    async close() {
      await reports.stop()
      stopping.abort()
      await rejoining
      await leave()
    },
  }
}
