/** What can go wrong, in one place: the codes, their HTTP status, and whether the same request may be sent again. */
export const errors = {
  bad_frame: { status: 400, retryable: false },
  unsupported: { status: 400, retryable: false },
  invalid: { status: 400, retryable: false },
  unauthenticated: { status: 401, retryable: false },
  token_expired: { status: 401, retryable: false },
  forbidden: { status: 403, retryable: false },
  not_found: { status: 404, retryable: false },
  conflict: { status: 409, retryable: false },
  id_conflict: { status: 409, retryable: false },
  too_large: { status: 413, retryable: false },
  rate_limited: { status: 429, retryable: true },
  too_many_inflight: { status: 429, retryable: true },
  overloaded: { status: 503, retryable: true },
  unavailable: { status: 503, retryable: true },
  internal: { status: 500, retryable: true },
} as const satisfies Record<string, { status: number; retryable: boolean }>

export type ErrorCode = keyof typeof errors

/** An expected failure is a value: the code, a sentence that names what was wrong, and when to try again. */
export interface Failure {
  ok: false
  code: ErrorCode
  message: string
  retryAfterMs?: number
}

export function failure(code: ErrorCode, message: string, retryAfterMs?: number): Failure {
  return retryAfterMs === undefined
    ? { ok: false, code, message }
    : { ok: false, code, message, retryAfterMs }
}

/** Why a server closed a WebSocket, and what the client does then: come again, refresh its token first, or stay away. */
export const closeCodes = {
  badFrame: { code: 4000, reconnect: 'never' },
  unauthenticated: { code: 4001, reconnect: 'never' },
  expired: { code: 4002, reconnect: 'after_refresh' },
  originRefused: { code: 4003, reconnect: 'never' },
  noHello: { code: 4004, reconnect: 'never' },
  slowReader: { code: 4008, reconnect: 'jitter' },
  tooLarge: { code: 4009, reconnect: 'never' },
  draining: { code: 4013, reconnect: 'jitter' },
  tooMany: { code: 4029, reconnect: 'jitter' },
  goingAway: { code: 1001, reconnect: 'jitter' },
  abnormal: { code: 1006, reconnect: 'jitter' },
  serverError: { code: 1011, reconnect: 'jitter' },
  restart: { code: 1012, reconnect: 'jitter' },
} as const satisfies Record<
  string,
  { code: number; reconnect: 'never' | 'after_refresh' | 'jitter' }
>

export type CloseReason = keyof typeof closeCodes
