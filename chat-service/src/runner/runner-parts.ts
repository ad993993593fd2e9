import type { Log } from '@parley/platform/ports/log'
import type { Logger } from '@parley/platform/process/logs'
import type { Backoff } from './backoff.ts'
import type { FanOut } from './fan-out.ts'
import type { ReplySender } from './reply-sender.ts'
import type { RunnerMetrics } from './runner-metrics.ts'
import type { StateSource } from './state-source.ts'

export interface RunnerParts {
  log: Log
  source: StateSource
  replies: ReplySender
  fanOut: FanOut
  logger: Logger
  metrics: RunnerMetrics
  /** [R15] The number of the log's present identity. */
  epoch: number
  now(): number
  /** Tells that the partition cannot go on; it must not be read any more. */
  failed(error: Error): void
}

export interface RunnerBounds {
  /** [R10] Commands that wait for the database; beyond, the partition pauses. */
  maxWaitingItems: number
  /** Kept ids and members in memory, of one partition; at twice that the partition pauses. */
  maxWeight: number
  /** [R8] Last accepted ids kept of a conversation. */
  keptIds: number
  /** Bytes of events not yet appended; beyond, the partition pauses. */
  maxUnappendedBytes: number
  maxRecordBytes: number
  /** How often S is read again while something waits for it. */
  checkpointEveryMs: number
  /** How long C may stay behind what it could say. */
  commitAfterMs: number
  backoff: Backoff
}
