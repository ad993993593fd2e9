import type { Bus } from '@parley/platform/ports/bus'
import type { PresenceStore } from '@parley/platform/ports/presence-store'
import type { Logger } from '@parley/platform/process/logs'
import { channels } from '@parley/proto/fan-out'
import {
  encodePresence,
  presenceTimes,
  type SessionNotice,
  type UserPresence,
} from '@parley/proto/session-records'
import { pause, within } from './backoff.ts'
import { type Changes, createChanges, stepMs } from './changes.ts'
import { awayAtMs, presenceOf } from './presence.ts'
import type { PresenceMetrics } from './presence-metrics.ts'
import type { PresenceSettings } from './settings.ts'

export interface SweepParts {
  store: PresenceStore
  bus: Bus
  logger: Logger
  metrics: PresenceMetrics
  settings: PresenceSettings
  /** Milliseconds since 1970. */
  now(): number
  /** Milliseconds of a clock that only goes forward. */
  elapsed(): number
}

export interface Sweep {
  /** Users whose change is not told yet, those expected to become away included. */
  readonly waiting: number
  /** Leases were written of what these say. */
  written(notices: readonly SessionNotice[]): void
  /**
   * Tells of what it has taken from the store, for as long as the limit of changes and one call need, and ends. What the
   * store still has waits for whoever owns the shard next.
   */
  stop(): Promise<void>
}

/**
 * How long before its time someone's becoming away is noted. Every connection is heard of within `renewMs`, so it is
 * noted in time, also by who took the shard over a moment ago, and nothing is kept of the many that are not idle.
 */
const expectMs = 2 * presenceTimes.renewMs

/** Publishes what changes in one shard, for as long as its partition is this process's. */
export function startSweep(parts: SweepParts, shard: number): Sweep {
  const { settings, elapsed } = parts
  const changes = createChanges({
    changeMs: presenceTimes.changeMs,
    maxDue: settings.maxWaiting,
    maxTold: settings.maxTold,
  })
  const stopping = new AbortController()
  let wake = () => {}
  let woken = false

  function written(notices: readonly SessionNotice[]): void {
    const nowMs = parts.now()
    for (const { state, user, activeAt } of notices) {
      if (state === 'open') expectAway(changes, { user, activeAt, nowMs, elapsedMs: elapsed() })
    }
    woken = true
    wake()
  }

  /** Until the next interval, until someone is due, or until there is something new. */
  async function rest(): Promise<void> {
    if (woken || stopping.signal.aborted) return
    const untilDueMs = Math.max(1, changes.soonestMs() - elapsed())
    const restMs = Math.min(settings.sweepIntervalMs, untilDueMs)
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, restMs)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  const backoff = { minMs: settings.retryMinMs, maxMs: settings.retryMaxMs }

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; ) {
      woken = false
      try {
        await sweepOnce(parts, changes, { shard, signal: stopping.signal })
        if (failures > 0) parts.logger.info({ shard }, 'presence is told of again')
        failures = 0
        await rest()
      } catch (error) {
        if (failures % 10 === 0) {
          parts.logger.warn({ err: error, shard, failures }, 'presence can not be told of')
        }
        await pause(backoff, failures, stopping.signal)
        failures += 1
      }
    }
  }

  /** Tells of what was taken from the store and had to wait. */
  async function finish(): Promise<void> {
    const untilMs = elapsed() + presenceTimes.changeMs + stepMs
    const endMs = performance.now() + presenceTimes.changeMs + settings.callTimeoutMs
    while (changes.soonestMs() <= untilMs && performance.now() < endMs) {
      const restMs = Math.max(1, changes.soonestMs() - elapsed())
      await new Promise((resolve) => setTimeout(resolve, restMs))
      await lookAtDue(parts, changes)
    }
  }

  const running = run()
  return {
    get waiting() {
      return changes.waiting
    },
    written,
    async stop() {
      stopping.abort()
      wake()
      await running
      try {
        await finish()
      } catch (error) {
        const { waiting } = changes
        parts.logger.warn({ err: error, shard, waiting }, 'changes of presence are not told of')
      }
    },
  }
}

function expectAway(
  changes: Changes,
  of: { user: string; activeAt: number; nowMs: number; elapsedMs: number },
): void {
  const inMs = awayAtMs(of.activeAt) - of.nowMs
  if (inMs > expectMs) return
  // Its time is over: whoever told of it before may have been this process, or one that had the shard till now.
  const state = changes.stateOf(of.user)
  const known = state === undefined ? inMs < -expectMs : state !== 'online'
  if (inMs <= 0 && known) return
  changes.expect(of.user, of.elapsedMs + inMs)
}

/** Takes what has changed and tells of all that is due. Rejects when the store or the bus did not do its part. */
async function sweepOnce(
  parts: SweepParts,
  changes: Changes,
  { shard, signal }: { shard: number; signal: AbortSignal },
): Promise<void> {
  const { store, settings, metrics, elapsed } = parts
  while (!signal.aborted) {
    const limit = Math.min(settings.batch, changes.room)
    const taking = limit === 0 ? Promise.resolve([]) : store.changed(shard, limit)
    // Noted even when it comes too late for this sweep: nobody else will be given them.
    const noted = taking.then((users) => {
      for (const user of users) changes.changed(user, elapsed())
      return users.length
    })
    const taken = await storeCall(metrics, within(settings.callTimeoutMs, noted))
    const looked = await lookAtDue(parts, changes)
    // Else there may be more, and there is room for it again.
    if (looked === 0 || (taken < limit && looked < settings.batch)) return
  }
}

/** How many were looked at, which is at most one batch. */
async function lookAtDue(parts: SweepParts, changes: Changes): Promise<number> {
  const { store, settings, metrics, elapsed } = parts
  const users = changes.due(elapsed(), settings.batch)
  if (users.length === 0) return 0
  let unread = users
  try {
    const call = within(settings.callTimeoutMs, store.read(users))
    const leases = await storeCall(metrics, call)
    unread = []
    const nowMs = parts.now()
    const news = users
      .map((user, i) => presenceOf(user, leases[i] ?? {}, nowMs))
      .filter((presence) => changes.weigh(presence, elapsed()))
    for (const [i, user] of users.entries()) {
      const activeAt = leases[i]?.activeAt
      if (activeAt !== undefined) {
        expectAway(changes, { user, activeAt, nowMs, elapsedMs: elapsed() })
      }
    }
    await tell(parts, changes, news)
    return users.length
  } finally {
    for (const user of unread) changes.unread(user, elapsed())
  }
}

/** Rejects with the first failure, once each publish is known to have succeeded or failed. */
async function tell(parts: SweepParts, changes: Changes, news: UserPresence[]): Promise<void> {
  const { bus, settings, metrics } = parts
  const outcomes = await Promise.allSettled(
    news.map(async (presence) => {
      const { id, state } = presence
      try {
        const call = bus.publish(channels.presence(id), encodePresence(presence))
        await within(settings.callTimeoutMs, call)
        changes.told(id)
        metrics.changes.inc({ state })
      } catch (error) {
        changes.untold(id)
        metrics.publishFailures.inc()
        throw error
      }
    }),
  )
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

async function storeCall<T>(metrics: PresenceMetrics, call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    metrics.storeFailures.inc()
    throw error
  }
}
