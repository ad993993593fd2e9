import { setTimeout as delay } from 'node:timers/promises'
import { isTransient } from '@parley/platform/postgres/transient'

/** The partition was taken away, or the process stops: nothing went wrong. */
export class AssignmentEnded extends Error {
  override readonly name = 'AssignmentEnded'
}

export interface RetryOptions {
  signal: AbortSignal
  minMs: number
  maxMs: number
  /** Called before each wait; `attempt` counts from 1. */
  onRetry(error: unknown, attempt: number): void
}

/**
 * Repeats `work` for as long as the database is away, with full jitter. Rejects with what `work` rejects with otherwise,
 * and with `AssignmentEnded` once the signal is aborted.
 */
export async function whileAway<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, minMs, maxMs, onRetry } = options
  for (let attempt = 1; ; attempt++) {
    if (signal.aborted) throw new AssignmentEnded()
    try {
      return await work()
    } catch (error) {
      if (!isTransient(error)) throw error
      onRetry(error, attempt)
      const boundMs = Math.min(maxMs, minMs * 2 ** Math.min(attempt - 1, 30))
      await delay(Math.random() * boundMs, undefined, { signal }).catch(() => {})
    }
  }
}
