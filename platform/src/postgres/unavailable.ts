import { DatabaseUnavailable } from '@parley/platform/ports/database'

/**
 * SQLSTATEs that say the server or this connection is gone, not that a statement was wrong
 * (PostgreSQL manual, appendix A): class 08, too many connections, shutdown and start, terminated sessions.
 */
const awayStates = /^(08...|53300|57P0[1-5]|25P03|25P04)$/

const awaySystemCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])

/** What `pg` and its pool say where they give no code (pg 8.23). */
const awayMessages =
  /^(Connection terminated|Client has encountered a connection error|Client was closed|Query read timeout|timeout exceeded when trying to connect|timeout expired|Cannot use a pool after calling end)/

/**
 * True when the error means that the database is away, also where MikroORM has wrapped it: for code that uses
 * `orm.em` itself.
 */
export function isUnavailable(error: unknown): boolean {
  for (let e = error, depth = 0; e instanceof Error && depth < 8; e = e.cause, depth++) {
    if (e instanceof DatabaseUnavailable) return true
    const { code } = e as { code?: unknown }
    if (typeof code === 'string' && (awayStates.test(code) || awaySystemCodes.has(code)))
      return true
    if (awayMessages.test(e.message)) return true
    if (e instanceof AggregateError && e.errors.some(isUnavailable)) return true
  }
  return false
}

/** The error itself, or the `DatabaseUnavailable` that it means. */
export function named(error: unknown): unknown {
  if (error instanceof DatabaseUnavailable || !isUnavailable(error)) return error
  return unavailable(error)
}

export function unavailable(cause: unknown): DatabaseUnavailable {
  return new DatabaseUnavailable(`the database is away: ${reason(cause)}`, { cause })
}

/** Node joins the failures of several addresses into one error without a message. */
function reason(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(reason).join(', ')
  return cause instanceof Error ? cause.message : String(cause)
}
