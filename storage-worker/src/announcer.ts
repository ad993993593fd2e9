import type { Bus } from '@parley/platform/ports/bus'
import { channels, encodeProjected, encodeUserNotice } from '@parley/proto/fan-out'
import type { Projection } from './projection/project.ts'
import type { StorageMetrics } from './storage-metrics.ts'

/** Publishes that may await the bus at once; what comes beyond is lost, as anything on the bus may be. */
const inFlightMax = 10_000

export interface Announcer {
  /** After the commit: which heads can be read now, and once more who belongs where. Never throws, waits for nothing. */
  announce(partition: number, projection: Projection): void
}

export function createAnnouncer(bus: Bus, metrics: StorageMetrics): Announcer {
  let inFlight = 0

  function publish(channel: string, payload: Uint8Array): void {
    if (inFlight >= inFlightMax) {
      metrics.publishesLost.inc()
      return
    }
    inFlight += 1
    bus
      .publish(channel, payload)
      .catch(() => metrics.publishesLost.inc())
      .finally(() => {
        inFlight -= 1
      })
  }

  return {
    announce(partition, { drafts, notices }) {
      if (drafts.length === 0) return
      const heads = new Map(drafts.map((d) => [d.id, d.head]))
      publish(channels.projected(partition), encodeProjected(heads))
      for (const { user, notice } of notices) {
        publish(channels.user(user), encodeUserNotice(notice))
      }
    },
  }
}
