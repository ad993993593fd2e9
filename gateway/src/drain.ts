import type { Connection } from './connection.ts'
import { resolvedWithin } from './settled-within.ts'

/** Sockets closed in a second when there is time; so their clients don't all come to the next gateway at once. */
const closesPerSecond = 2_000
const stepMs = 50
const leastSpreadMs = 1_000

/**
 * Tells each connection when to come again, waits for the answers of what is in flight, and closes all, paced, before
 * the time is over.
 */
export async function drainConnections(options: {
  connections: ReadonlySet<Connection>
  answered: () => Promise<unknown>
  withinMs: number
}): Promise<void> {
  const { connections, withinMs } = options
  const began = performance.now()
  const spreadMs = Math.max(leastSpreadMs, (connections.size / closesPerSecond) * 1_000)
  for (const { session } of connections) session.drain(Math.floor(Math.random() * spreadMs))
  await resolvedWithin(options.answered(), withinMs / 2)
  const leftMs = withinMs - (performance.now() - began)
  const steps = Math.max(1, Math.floor(leftMs / 2 / stepMs))
  const perStep = Math.max(Math.ceil(connections.size / steps), (closesPerSecond / 1_000) * stepMs)
  while (connections.size > 0 && performance.now() - began < withinMs) {
    for (const { session } of [...connections].slice(0, perStep)) session.goingAway()
    if (connections.size > 0) await new Promise((resolve) => setTimeout(resolve, stepMs))
  }
}
