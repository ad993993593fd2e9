import { type PresenceStore, PresenceStoreFull } from '@parley/platform/ports/presence-store'
import type { Logger } from '@parley/platform/process/logs'
import type { SessionNotice } from '@parley/proto/session-records'
import { pause, within } from './backoff.ts'
import { isStale, ttlOf } from './notices.ts'
import type { PresenceMetrics } from './presence-metrics.ts'
import type { PresenceSettings } from './settings.ts'

export interface LeaseWriterParts {
  store: PresenceStore
  logger: Logger
  metrics: PresenceMetrics
  settings: PresenceSettings
  /** Milliseconds since 1970. */
  now(): number
}

export interface LeaseWriter {
  /**
   * Writes at most one notice a connection. While the store is away it tries again, which ends by itself: what has
   * become older than a lease is dropped. False when `signal` was aborted before all was done.
   */
  write(notices: readonly SessionNotice[], signal: AbortSignal): Promise<boolean>
}

export function createLeaseWriter(parts: LeaseWriterParts): LeaseWriter {
  const { settings, metrics, logger, now } = parts
  const backoff = { minMs: settings.retryMinMs, maxMs: settings.retryMaxMs }

  function fresh(notices: readonly SessionNotice[]): SessionNotice[] {
    const nowMs = now()
    const kept = notices.filter((notice) => !isStale(notice, nowMs))
    metrics.dropped.inc({ reason: 'stale' }, notices.length - kept.length)
    return kept
  }

  return {
    async write(notices, signal) {
      let left = fresh(notices)
      for (let attempt = 0; left.length > 0; attempt++) {
        if (signal.aborted) return false
        const { failed, error } = await writeOnce(parts, left)
        if (failed.length > 0) {
          if (attempt % 10 === 0) {
            logger.warn({ err: error, attempt }, 'waiting for the presence store')
          }
          await pause(backoff, attempt, signal)
        } else if (attempt > 0) logger.info({ attempt }, 'the presence store is back')
        left = fresh(failed)
      }
      return true
    },
  }
}

/** What could not be written; after the first failure nothing more is tried. */
async function writeOnce(
  parts: LeaseWriterParts,
  notices: readonly SessionNotice[],
): Promise<{ failed: SessionNotice[]; error?: unknown }> {
  const { store, settings, metrics } = parts
  const calls = callsFor(notices, parts.now(), settings.batch)
  for (const [index, { ttlMs, batch }] of calls.entries()) {
    try {
      const call = ttlMs === undefined ? store.release(batch) : store.hold(batch, ttlMs)
      await within(settings.callTimeoutMs, call)
      metrics.notices.inc(batch.length)
    } catch (error) {
      if (error instanceof PresenceStoreFull) {
        metrics.notices.inc(batch.length - error.refused)
        metrics.dropped.inc({ reason: 'full' }, error.refused)
        parts.logger.warn({ err: error }, 'the presence store is full')
        continue
      }
      metrics.storeFailures.inc()
      return { failed: calls.slice(index).flatMap((later) => later.batch), error }
    }
  }
  return { failed: [] }
}

interface StoreCall {
  /** Undefined to release. */
  ttlMs: number | undefined
  batch: SessionNotice[]
}

function callsFor(notices: readonly SessionNotice[], nowMs: number, size: number): StoreCall[] {
  const groups = new Map<number | undefined, SessionNotice[]>()
  for (const notice of notices) {
    const ttlMs = notice.state === 'open' ? ttlOf(notice, nowMs) : undefined
    const group = groups.get(ttlMs)
    if (group === undefined) groups.set(ttlMs, [notice])
    else group.push(notice)
  }
  return [...groups].flatMap(([ttlMs, group]) => {
    const count = Math.ceil(group.length / size)
    return Array.from({ length: count }, (_, i) => ({
      ttlMs,
      batch: group.slice(i * size, (i + 1) * size),
    }))
  })
}
