import type { Metrics } from '@parley/platform/process/metrics'

/** What a cursor writer counts. Several writers of one process share their figures. */
export interface CursorWriterMetrics {
  appended(cursors: number): void
  appendFailed(): void
  /** There was no room. */
  refused(): void
  /** Given up: the writer was closed while the log was away, or the log will never take them. */
  lost(cursors: number): void
}

const made = new WeakMap<Metrics, CursorWriterMetrics>()

export function cursorWriterMetrics(metrics: Metrics): CursorWriterMetrics {
  let ours = made.get(metrics)
  if (ours === undefined) {
    ours = make(metrics)
    made.set(metrics, ours)
  }
  return ours
}

function make(metrics: Metrics): CursorWriterMetrics {
  const records = metrics.counter('parley_cursor_records_total', 'Records of cursors appended')
  const cursors = metrics.counter('parley_cursors_total', 'Cursors appended, after coalescing')
  const failed = metrics.counter(
    'parley_cursor_appends_failed_total',
    'Appends of cursors that failed; each is repeated',
  )
  const refused = metrics.counter(
    'parley_cursors_refused_total',
    'Cursors refused because too many waited for the log',
  )
  const lost = metrics.counter(
    'parley_cursors_lost_total',
    'Cursors given up at the end of the process, or because the log will never take them',
  )
  return {
    appended(count) {
      records.inc()
      cursors.inc(count)
    },
    appendFailed: () => failed.inc(),
    refused: () => refused.inc(),
    lost: (count) => lost.inc(count),
  }
}
