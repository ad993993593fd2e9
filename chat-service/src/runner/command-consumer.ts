import type { Assignment, Consumer, Log, Membership } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import { topics } from '@parley/proto/record-headers'
import type { RunnerBounds, RunnerParts } from './runner-parts.ts'
import { startPartition } from './start-partition.ts'

export const sequencerGroup = 'chat-service'

export interface CommandConsumerParts extends Omit<RunnerParts, 'failed'> {
  log: Log
  logger: Logger
}

export interface CommandConsumer {
  /** Partitions that stopped by themselves; they stay so until assigned anew. A reason for not being ready. */
  readonly stopped: ReadonlyMap<number, Error>
  close(): Promise<void>
}

const headsEveryMs = 2_000

/** Joins the sequencers' group: every partition given to this process is run until it is taken away. */
export async function consumeCommands(
  parts: CommandConsumerParts,
  bounds: RunnerBounds,
): Promise<CommandConsumer> {
  const stopped = new Map<number, Error>()
  const failed = (partition: number, error: Error): void => {
    if (stopped.has(partition)) return
    stopped.set(partition, error)
    parts.metrics.stopped.inc()
    parts.logger.error({ err: error, partition }, 'the partition stopped')
  }
  const consumer: Consumer = {
    async assigned(assignment: Assignment) {
      const { partition } = assignment
      stopped.delete(partition)
      const reader = await startPartition(
        assignment,
        { ...parts, failed: (error) => failed(partition, error) },
        bounds,
      )
      const { committed } = assignment
      parts.logger.info({ partition, start: reader.start, committed }, 'partition taken over')
      return reader
    },
    failed,
  }
  const heads = setInterval(() => parts.fanOut.announceHeads(parts.now()), headsEveryMs)
  heads.unref()
  const membership: Membership = await parts.log.join(sequencerGroup, topics.commands, consumer)
  return {
    stopped,
    async close() {
      clearInterval(heads)
      await membership.close()
    },
  }
}
