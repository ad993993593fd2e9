import { type Failure, failure } from './errors.ts'
import { Refusal, readerOf } from './field-readers.ts'
import { messageBody } from './frame-table.ts'
import type { MessageBody } from './frames.ts'

const read = readerOf(messageBody, 'json', () => null)

/**
 * The body of a message or an edit from outside, by the rules of the `send` frame: known fields only, in one order,
 * empty ones left out, so that equal bodies have equal bytes whichever way they came. Fails with `invalid` or
 * `too_large` and the name of the field.
 */
export function readMessageBody(value: unknown): { ok: true; body: MessageBody } | Failure {
  const body = read(value ?? undefined, {})
  if (!(body instanceof Refusal)) return { ok: true, body: body as MessageBody }
  return failure(body.code, `body${body.path} ${body.reason}`)
}
