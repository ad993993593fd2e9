import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdbLog } from '@parley/platform/lmdb/log'
import { createMemoryBus } from '@parley/platform/memory/bus'
import { createMemoryPresenceStore } from '@parley/platform/memory/presence-store'
import type { Bus } from '@parley/platform/ports/bus'
import type { Log } from '@parley/platform/ports/log'
import type { PresenceStore } from '@parley/platform/ports/presence-store'
import { createLogger } from '@parley/platform/process/logs'
import { createMetrics, type Metrics } from '@parley/platform/process/metrics'
import { channels } from '@parley/proto/fan-out'
import { newId } from '@parley/proto/ids'
import { partitionOf } from '@parley/proto/partition'
import { recordSchema, topics } from '@parley/proto/record-headers'
import {
  decodePresence,
  encodeSessionRecord,
  type SessionNotice,
  type UserPresence,
} from '@parley/proto/session-records'
import { createPresenceService, type PresenceService } from '../create.ts'
import type { PresenceSettings } from '../settings.ts'

/** What was published of a user, and when by the test's clock. */
export interface Told extends UserPresence {
  atMs: number
}

export interface World {
  log: Log
  bus: Bus
  store: PresenceStore
  /** Of the service started last. */
  metrics: Metrics
  /** The time now, for services and store alike: the system's, moved by `skip`. */
  now(): number
  /** Time goes by at once. */
  skip(ms: number): void
  start(options?: {
    settings?: Partial<PresenceSettings>
    log?: Log
    bus?: Bus
    store?: PresenceStore
  }): Promise<PresenceService>
  /** As a gateway would: one record a partition. */
  say(...notices: SessionNotice[]): Promise<void>
  /** All that is published of the user from now on, oldest first. */
  hear(user: string): Promise<Told[]>
  metric(name: string): Promise<number>
  close(): Promise<void>
}

export async function openWorld(partitions: number): Promise<World> {
  const path = await mkdtemp(join(tmpdir(), 'parley-presence-'))
  const log = await openLmdbLog({
    path,
    topics: { [topics.sessions]: partitions },
    maxRecordBytes: 1024 * 1024,
    maxReadBytes: 1024 * 1024,
  })
  let skippedMs = 0
  const now = () => Date.now() + skippedMs
  const bus = createMemoryBus()
  const store = createMemoryPresenceStore({ shards: partitions, now })
  const services: PresenceService[] = []
  const world: World = {
    ...{ log, bus, store, now, metrics: createMetrics() },
    skip(ms) {
      skippedMs += ms
    },
    async start({ settings, ...parts } = {}) {
      world.metrics = createMetrics()
      const service = createPresenceService(
        { sweepIntervalMs: 10, retryMinMs: 1, retryMaxMs: 20, trimIntervalMs: 0, ...settings },
        {
          ...{ log, bus, store, now, metrics: world.metrics },
          logger: createLogger({ name: 'test', level: 'silent' }),
          ...parts,
        },
      )
      services.push(service)
      await service.start()
      return service
    },
    async say(...notices) {
      for (let partition = 0; partition < partitions; partition++) {
        const own = notices.filter(({ user }) => partitionOf(user, partitions) === partition)
        if (own.length > 0) await appendTo(log, partition, encodeSessionRecord(own))
      }
    },
    async hear(user) {
      const heard: Told[] = []
      await bus.subscribe(channels.presence(user), (payload) => {
        heard.push({ ...decodePresence(user, payload), atMs: now() })
      })
      return heard
    },
    async metric(name) {
      const found = await world.metrics.registry.getSingleMetric(name)?.get()
      return (found?.values ?? []).reduce((sum, v) => sum + v.value, 0)
    },
    async close() {
      for (const service of services) await service.stop()
      await log.close()
      await bus.close()
      await rm(path, { recursive: true, force: true })
    },
  }
  return world
}

export async function appendTo(
  log: Log,
  partition: number,
  value: Uint8Array,
  schema: string = recordSchema,
): Promise<void> {
  await log.append(topics.sessions, partition, [{ headers: { schema }, value }])
}

export interface Device {
  readonly user: string
  open(idleMs?: number): SessionNotice
  closed(): SessionNotice
}

/** A connection whose notices are stamped with the world's time. */
export function device(world: Pick<World, 'now'>, user = newId()): Device {
  const connection = newId()
  const notice = (state: SessionNotice['state'], idleMs: number): SessionNotice => {
    const at = world.now()
    return { user, connection, state, activeAt: at - idleMs, at }
  }
  return { user, open: (idleMs = 0) => notice('open', idleMs), closed: () => notice('closed', 0) }
}

/** A new user whose notices go to that partition. */
export function userOf(partition: number, partitions: number): string {
  for (;;) {
    const user = newId()
    if (partitionOf(user, partitions) === partition) return user
  }
}
