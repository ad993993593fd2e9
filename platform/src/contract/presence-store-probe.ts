import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Lease, PresenceStore, UserLeases } from '@parley/platform/ports/presence-store'
import { newId } from '@parley/proto/ids'
import type { PresenceStoreHarness } from './presence-store-harness.ts'

/** Longer than any check waits. */
export const longMs = 600_000

/** Someone with one connection; `at` and `activeAt` are small numbers that say which came when. */
export function someone(): {
  user: string
  connection: string
  lease(at: number, activeAt?: number): Lease
} {
  const [user, connection] = [newId(), newId()]
  return { user, connection, lease: (at, activeAt = at) => ({ user, connection, at, activeAt }) }
}

export async function readOne(store: PresenceStore, user: string): Promise<UserLeases> {
  const [leases] = await store.read([user])
  return leases as UserLeases
}

export async function opened(
  harness: PresenceStoreHarness,
): Promise<{ one: PresenceStore; other: PresenceStore }> {
  return harness.open({ shards: 1 })
}

/** Asks again and again until `look` gives something; fails after the deadline. */
export async function until<T>(
  { deadlineMs }: PresenceStoreHarness,
  what: string,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const end = performance.now() + deadlineMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (performance.now() > end) assert.fail(`within ${deadlineMs} ms: ${what}`)
    await delay(2)
  }
}

/**
 * [PS1] Reads on until the user's leases no longer count, and fails where that is too early or too late for a lease of
 * `ttlMs`, held by a call that began and ended at these times (`performance.now()`).
 */
export async function endsInTime(
  harness: PresenceStoreHarness,
  store: PresenceStore,
  {
    user,
    ttlMs,
    held,
  }: { user: string; ttlMs: number; held: { beganMs: number; endedMs: number } },
): Promise<void> {
  const { clockSlackMs } = harness
  await until(harness, `the lease of ${ttlMs} ms does not end`, async () => {
    const askedMs = performance.now()
    const { activeAt } = await readOne(store, user)
    const answeredMs = performance.now()
    if (activeAt !== undefined) {
      const lateMs = askedMs - (held.endedMs + ttlMs)
      assert.ok(lateMs <= clockSlackMs, `the lease still counts ${lateMs} ms after its end`)
      return undefined
    }
    const earlyMs = held.beganMs + ttlMs - answeredMs
    assert.ok(earlyMs <= clockSlackMs, `the lease has ended ${earlyMs} ms too early`)
    return true
  })
}

/** The times of a call, for `endsInTime`. */
export async function timed(
  call: () => Promise<void>,
): Promise<{ beganMs: number; endedMs: number }> {
  const beganMs = performance.now()
  await call()
  return { beganMs, endedMs: performance.now() }
}

/** All that `changed` of the shard has to give now. */
export async function takeAll(store: PresenceStore, shard = 0, limit = 100): Promise<string[]> {
  const all: string[] = []
  for (;;) {
    const taken = await store.changed(shard, limit)
    if (taken.length === 0) return all
    assert.ok(taken.length <= limit, `${taken.length} users where ${limit} were asked`)
    all.push(...taken)
    assert.ok(all.length < 10_000, 'changed gives the same users again and again')
  }
}
