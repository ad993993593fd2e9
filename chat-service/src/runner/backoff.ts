import { setTimeout as delay } from 'node:timers/promises'

/** Full jitter (Brooker, "Exponential Backoff And Jitter", 2015): a random wait up to first × 2^attempt, capped. */
export interface Backoff {
  firstMs: number
  maxMs: number
}

/** Waits before trying `attempt` (from 0) again; returns early when the signal aborts. */
export function pause(backoff: Backoff, attempt: number, signal: AbortSignal): Promise<void> {
  const cap = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(attempt, 20))
  return wait(Math.random() * cap, signal)
}

/** Returns early when the signal aborts. */
export async function wait(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
