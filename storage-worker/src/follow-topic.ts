import { setTimeout as delay } from 'node:timers/promises'
import type {
  Assignment,
  Consumer,
  Log,
  Membership,
  PartitionReader,
} from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import { type Reported, startReports } from './reports.ts'
import { AssignmentEnded } from './retry.ts'
import type { StorageWorkerSettings } from './settings.ts'
import type { StorageMetrics } from './storage-metrics.ts'

/** The database has lost commits (a standby took over): what they held must be read again from the log. */
export class CheckpointWentBack extends Error {
  override readonly name = 'CheckpointWentBack'
}

/** Reads one partition into the database. */
export interface Follower extends PartitionReader, Reported {
  /** What is due every few seconds beside reading; rejects with `CheckpointWentBack` when it finds that. */
  tend(): Promise<void>
}

export interface FollowOptions<F extends Follower> {
  group: string
  topic: string
  /** `stopping` is aborted when the process stops. */
  open(assignment: Assignment, stopping: AbortSignal): Promise<F>
  log: Log
  logger: Logger
  settings: StorageWorkerSettings
  lag: StorageMetrics['lag']
  /** 1 for a partition that stopped. */
  stoppedGauge: StorageMetrics['stopped']
}

export interface TopicConsumer {
  readonly topic: string
  /** Partitions that stopped, and why; they stay so until assigned anew. A reason for not being ready. */
  readonly stopped: ReadonlyMap<number, Error>
  /** Leaves the group once what is being written is written. */
  close(): Promise<void>
}

/** Joins a group, and follows every partition given to this process. Resolves when the group knows it. */
export async function followTopic<F extends Follower>(
  options: FollowOptions<F>,
): Promise<TopicConsumer> {
  const { group, topic, log, logger, settings, lag, stoppedGauge } = options
  const stopping = new AbortController()
  const stopped = new Map<number, Error>()
  const open = new Map<number, F>()
  let membership: Membership | undefined
  let rejoining: Promise<void> | undefined

  const consumer: Consumer = {
    async assigned(assignment) {
      const { partition } = assignment
      const follower = await options.open(assignment, stopping.signal)
      stopped.delete(partition)
      stoppedGauge.set({ partition }, 0)
      if (!assignment.signal.aborted) open.set(partition, follower)
      assignment.signal.addEventListener('abort', () => forget(follower), { once: true })
      const { start } = follower
      const { committed } = assignment
      logger.info({ topic, partition, start, committed }, 'partition taken over')
      return follower
    },
    failed(partition, error) {
      if (error instanceof AssignmentEnded) return
      const follower = open.get(partition)
      if (follower !== undefined) forget(follower)
      if (error instanceof CheckpointWentBack) return readAgain(partition, error)
      stopped.set(partition, error)
      stoppedGauge.set({ partition }, 1)
      logger.error(
        { err: error, topic, partition },
        'the partition stopped; nothing of it is stored',
      )
    },
  }

  function forget(follower: F): void {
    if (open.get(follower.partition) !== follower) return
    open.delete(follower.partition)
    lag.remove({ partition: follower.partition })
  }

  /** A reader can't go back, so its partition must be assigned anew. */
  function readAgain(partition: number, error: CheckpointWentBack): void {
    logger.warn({ err: error, topic, partition }, 'reading again from the checkpoint')
    rejoining ??= rejoin().finally(() => {
      rejoining = undefined
    })
  }

  async function rejoin(): Promise<void> {
    await leave()
    while (!stopping.signal.aborted) {
      try {
        membership = await log.join(group, topic, consumer)
        return
      } catch (error) {
        logger.warn({ err: error, topic }, 'the group can not be joined')
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
      logger.warn({ err: error, topic }, 'the group was not left in order')
    }
  }

  async function tend(follower: F): Promise<void> {
    try {
      await follower.tend()
    } catch (error) {
      const { partition } = follower
      if (error instanceof CheckpointWentBack) readAgain(partition, error)
      else if (!(error instanceof AssignmentEnded)) {
        logger.warn({ err: error, topic, partition }, 'a partition was not tended')
      }
    }
  }

  membership = await log.join(group, topic, consumer)
  const reports = startReports<F>({
    ...{ log, logger, settings, lag, tend },
    reported: () => [...open.values()],
  })
  return {
    topic,
    stopped,
    async close() {
      await reports.stop()
      stopping.abort()
      await rejoining
      await leave()
    },
  }
}
