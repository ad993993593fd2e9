import { type ErrorCode, errors } from '@parley/proto/errors'
import type { ErrorFrame } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'

/** An expected failure as the frame that tells of it, with the `id` or `ref` of what it answers. */
export function errorFrame(
  why: { code: ErrorCode; message: string; retryAfterMs?: number },
  about: { id?: string | undefined; ref?: string | undefined } = {},
): ErrorFrame {
  const { code, retryAfterMs } = why
  const message = why.message.slice(0, limits.errorMessageLength)
  const frame: ErrorFrame = { type: 'error', code, message, retryable: errors[code].retryable }
  if (about.id !== undefined) frame.id = about.id
  if (about.ref !== undefined) frame.ref = about.ref
  if (retryAfterMs !== undefined) frame.retryAfterMs = retryAfterMs
  return frame
}
