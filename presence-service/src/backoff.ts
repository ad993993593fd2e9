import { setTimeout as delay } from 'node:timers/promises'

/** Full jitter (Brooker, "Exponential Backoff And Jitter", 2015): a random wait up to first × 2^attempt, capped. */
export interface Backoff {
  minMs: number
  maxMs: number
}

/** Waits before trying `attempt` (from 0) again; returns early when the signal aborts. */
export async function pause(backoff: Backoff, attempt: number, signal: AbortSignal): Promise<void> {
  const capMs = Math.min(backoff.maxMs, backoff.minMs * 2 ** Math.min(attempt, 20))
  await delay(Math.random() * capMs, undefined, { signal }).catch(() => {})
}

/** Settles as `call` does, and rejects when it has not within that time. The call itself goes on. */
export async function within<T>(timeoutMs: number, call: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    return await Promise.race([call, late])
  } finally {
    clearTimeout(timer)
  }
}
