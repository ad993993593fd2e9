import type { Assignment, PartitionReader } from '@parley/platform/ports/log'
import { isTransient } from '@parley/platform/postgres/transient'
import { pause } from './backoff.ts'
import { PartitionRunner } from './partition-runner.ts'
import type { RunnerBounds, RunnerParts } from './runner-parts.ts'
import type { Checkpoint } from './state-source.ts'

/**
 * [R5] Takes over a partition: C as the group has it, then S as the database has it; nothing else survives from whoever
 * had it before. Rejects when the database can't be asked before the assignment ends, or when log and checkpoint
 * contradict each other.
 */
export async function startPartition(
  assignment: Assignment,
  parts: RunnerParts,
  bounds: RunnerBounds,
): Promise<PartitionReader> {
  const { partition, topic, signal } = assignment
  const committed = assignment.committed ?? 0
  const checkpoint = await readCheckpoint(partition, parts, { bounds, signal })
  const { earliest, next } = await parts.log.range(topic, partition)
  const start = checkpoint.upTo.offset
  for (const [name, offset] of [
    ['the checkpoint', start],
    ['the committed offset', committed],
  ] as const) {
    if (offset > next) {
      throw new Error(
        `${topic}/${partition} ends at ${next} but ${name} is at ${offset}: records are missing`,
      )
    }
  }
  if (start < earliest || (assignment.committed !== null && committed < earliest)) {
    throw new Error(
      `${topic}/${partition} begins at ${earliest}, past what is still needed (checkpoint ${start}, committed ${committed})`,
    )
  }
  return new PartitionRunner(assignment, parts, { bounds, committed, checkpoint })
}

async function readCheckpoint(
  partition: number,
  parts: RunnerParts,
  { bounds, signal }: { bounds: RunnerBounds; signal: AbortSignal },
): Promise<Checkpoint> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await parts.source.checkpoint(partition)
    } catch (error) {
      if (signal.aborted || !isTransient(error)) throw error
      parts.logger.warn({ err: error, partition, attempt }, 'waiting for the checkpoint')
      await pause(bounds.backoff, attempt, signal)
      if (signal.aborted) throw error
    }
  }
}
