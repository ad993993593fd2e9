/**
 * Headers of every record in every log. `schema` is the version of the record's own form, `epoch` the log's
 * identity ([R15]), `traceparent` W3C Trace Context where the writer traces.
 */
export interface RecordHeaders {
  schema: string
  epoch: string
  traceparent?: string
}

/** The form that this release writes; readers refuse others by stopping, never by skipping. */
export const recordSchema = '1'

export const topics = {
  commands: 'parley.commands',
  events: 'parley.events',
  cursors: 'parley.cursors',
  sessions: 'parley.sessions',
  meta: 'parley.meta',
} as const
export type Topic = (typeof topics)[keyof typeof topics]

/** W3C Trace Context, version 00; ids of zeros alone are invalid there. */
const traceparentPattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

export function isTraceparent(value: unknown): value is string {
  return typeof value === 'string' && traceparentPattern.test(value)
}
