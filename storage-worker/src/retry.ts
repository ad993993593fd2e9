import { setTimeout as delay } from 'node:timers/promises'
import { DatabaseUnavailable } from '@parley/platform/ports/database'

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

/**
 * SQLSTATE classes that say "again later" of a transaction that did nothing wrong: 40 (deadlock, serialization), 53 (disk
 * or memory full), 55 (a lock not available), 57 (cancelled by a timeout or an operator), 58 (the server's own I/O).
 * PostgreSQL manual, appendix A.
 */
const transientState = /^(40|53|55|57|58)...$/

function isTransient(error: unknown): boolean {
  if (error instanceof DatabaseUnavailable) return true
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && transientState.test(code)
}
