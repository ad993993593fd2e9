import type { Assignment, Consumer, PartitionReader } from '@parley/platform/ports/log'
import type { Partition } from './partition.ts'

/** One partition in the hands of one member, from `assigned` to `revoked`. */
export interface RunningAssignment {
  readonly partition: number
  readonly member: number
  /** Aborts the signal; what the reader is doing may go on for as long as it likes. */
  end(): void
  /** Resolves once `revoked` has settled, after `end`. Never rejects. */
  readonly ended: Promise<void>
}

export interface AssignmentParts {
  partition: Partition
  member: number
  consumer: Consumer
  committed: number | null
  commit(next: number): Promise<void>
}

/** A reader that keeps up without ever waiting would keep timers and sockets from their turn. */
const longestTurnMs = 5

export function startAssignment(parts: AssignmentParts): RunningAssignment {
  const { partition, consumer } = parts
  const aborter = new AbortController()
  const { signal } = aborter
  const aborted = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

  const assignment: Assignment = {
    topic: partition.topic,
    partition: partition.partition,
    committed: parts.committed,
    signal,
    commit: parts.commit,
  }

  /** What goes wrong after the end is no news: the partition is lost to this member already. */
  function tell(error: unknown): void {
    if (!signal.aborted) fail(error)
  }

  /** Outside the loop, so that what `failed` may throw is the process's concern and stops no rebalance. */
  function fail(error: unknown): void {
    const reason = error instanceof Error ? error : new Error(String(error), { cause: error })
    queueMicrotask(() => consumer.failed(partition.partition, reason))
  }

  async function readOn(reader: PartitionReader): Promise<void> {
    let position = reader.start
    let turnBegan = performance.now()
    while (!signal.aborted) {
      const records = partition.read(position)
      if (records.length === 0) {
        await partition.waitFor(position, signal)
        turnBegan = performance.now()
        continue
      }
      await reader.read(records)
      position += records.length
      if (performance.now() - turnBegan > longestTurnMs) {
        await new Promise(setImmediate)
        turnBegan = performance.now()
      }
    }
  }

  async function run(): Promise<void> {
    // `join` resolves before its consumer is called.
    await new Promise(setImmediate)
    if (signal.aborted) return
    let reader: PartitionReader
    try {
      reader = await consumer.assigned(assignment)
    } catch (error) {
      tell(error)
      await aborted
      return
    }
    try {
      await readOn(reader)
    } catch (error) {
      tell(error)
    }
    await aborted
    try {
      await reader.revoked()
    } catch (error) {
      fail(error)
    }
  }

  return {
    partition: partition.partition,
    member: parts.member,
    end: () => aborter.abort(),
    ended: run(),
  }
}
