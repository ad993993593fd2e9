import type { Log } from '@parley/platform/ports/log'
import type { Log as Logger } from '@parley/platform/process/logs'
import { partitionOf } from '@parley/proto/partition'
import { recordSchema, topics } from '@parley/proto/record-headers'
import { encodeSessionRecord, type SessionNotice } from '@parley/proto/session-records'
import type { GatewayMetrics } from './metrics.ts'
import { SessionLeases } from './session-leases.ts'

/** Tells presence, over the `sessions` log, which connections are there. Nothing waits for it but a stop. */
export interface SessionReports {
  opened(connection: string, user: string): void
  /** It has sent anything but `ping`. */
  active(connection: string): void
  closed(connection: string): void
  /** The link was lost without a word. */
  lost(connection: string): void
  /** To be called every 500 ms or so. */
  tick(): void
  /** Resolves once everything said so far is in the log. Never while the log is away: give it a time. */
  flushed(): Promise<void>
  stop(): void
}

export interface SessionReportsParts {
  log: Pick<Log, 'partitions' | 'append'>
  logger: Logger
  metrics: GatewayMetrics
  now: () => number
  /** How long what is said is gathered. */
  gatherMs: number
}

interface Partition {
  readonly number: number
  /** By connection, the newest alone. */
  waiting: Map<string, SessionNotice>
  appending: Promise<void> | null
  timer: NodeJS.Timeout | null
  failures: number
}

/** About 60 bytes each. */
const noticesPerRecord = 5_000
/** Connections of one partition that wait for the log; of further ones nothing is said before their next renewal. */
const maxWaiting = 100_000
const firstRetryMs = 200
const longestRetryMs = 5_000

export function createSessionReports(parts: SessionReportsParts): SessionReports {
  const { log, logger, now } = parts
  const leases = new SessionLeases()
  const partitions: Partition[] = Array.from(
    { length: log.partitions(topics.sessions) },
    (_, number) => ({ number, waiting: new Map(), appending: null, timer: null, failures: 0 }),
  )
  let stopped = false

  function say(notice: SessionNotice | null): void {
    if (notice === null) return
    const p = partitions[partitionOf(notice.user, partitions.length)] as Partition
    if (p.waiting.size >= maxWaiting && !p.waiting.has(notice.connection)) {
      parts.metrics.signalDropped()
      return
    }
    p.waiting.set(notice.connection, notice)
    schedule(p, parts.gatherMs)
  }

  function schedule(p: Partition, ms: number): void {
    if (stopped || p.timer !== null || p.appending !== null) return
    p.timer = setTimeout(() => start(p), ms)
  }

  function start(p: Partition): void {
    if (p.timer !== null) clearTimeout(p.timer)
    p.timer = null
    p.appending ??= append(p).finally(() => {
      p.appending = null
      if (p.waiting.size > 0) schedule(p, waitMs(p))
    })
  }

  async function append(p: Partition): Promise<void> {
    const batch = [...p.waiting.values()].slice(0, noticesPerRecord)
    if (batch.length === 0) return
    for (const { connection } of batch) p.waiting.delete(connection)
    const value = encodeSessionRecord(batch)
    try {
      await log.append(topics.sessions, p.number, [{ headers: { schema: recordSchema }, value }])
      p.failures = 0
    } catch (error) {
      // What is newer by now stands; what was said of those gone meanwhile too.
      for (const notice of batch) {
        if (!p.waiting.has(notice.connection)) p.waiting.set(notice.connection, notice)
      }
      if (p.failures % 10 === 0) {
        const { number: partition } = p
        logger.warn({ err: error, partition }, 'sessions are not told to presence: the log is away')
      }
      p.failures += 1
    }
  }

  function waitMs({ failures }: Partition): number {
    if (failures === 0) return parts.gatherMs
    return Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(failures, 10))
  }

  async function flush(p: Partition): Promise<void> {
    while (!stopped && (p.waiting.size > 0 || p.appending !== null)) {
      if (p.failures === 0) start(p)
      if (p.appending !== null) await p.appending
      else await new Promise((resolve) => setTimeout(resolve, firstRetryMs))
    }
  }

  return {
    opened: (connection, user) => say(leases.opened(connection, user, now())),
    active: (connection) => say(leases.active(connection, now())),
    closed: (connection) => say(leases.closed(connection, now())),
    lost: (connection) => leases.lost(connection),
    tick() {
      for (const notice of leases.due(now())) say(notice)
    },
    async flushed() {
      await Promise.all(partitions.map(flush))
    },
    stop() {
      stopped = true
      for (const p of partitions) if (p.timer !== null) clearTimeout(p.timer)
    },
  }
}
