import { DatabaseUnavailable } from '@parley/platform/ports/database'

/**
 * SQLSTATE classes that say "again later" of a transaction that did nothing wrong: 40 (deadlock, serialization), 53 (disk
 * or memory full), 55 (a lock not available), 57 (cancelled by a timeout or an operator), 58 (the server's own I/O).
 * PostgreSQL manual, appendix A.
 */
const transientState = /^(40|53|55|57|58)...$/

/** True when the same call may succeed later; anything else is a broken invariant, or a mistake of ours. */
export function isTransient(error: unknown): boolean {
  if (error instanceof DatabaseUnavailable) return true
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' && transientState.test(code)
}
