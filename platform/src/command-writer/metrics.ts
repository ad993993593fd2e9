import { latencyBuckets, type Metrics } from '@parley/platform/process/metrics'

/** What a command writer counts. Several writers of one process share their figures. */
export interface CommandWriterMetrics {
  appended(commands: number, bytes: number, ms: number): void
  appendFailed(): void
  /** `ack` or an error's code, and how long it took. */
  answered(outcome: string, ms: number): void
  /** A reply that nobody waits for any more. */
  strayReply(): void
}

const made = new WeakMap<Metrics, CommandWriterMetrics>()

export function commandWriterMetrics(metrics: Metrics): CommandWriterMetrics {
  let ours = made.get(metrics)
  if (ours === undefined) {
    ours = make(metrics)
    made.set(metrics, ours)
  }
  return ours
}

function make(metrics: Metrics): CommandWriterMetrics {
  const batch = metrics.histogram('parley_commands_per_record', 'Commands of one log record', {
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024],
  })
  const bytes = metrics.counter('parley_command_bytes_total', 'Bytes of command records appended')
  const append = metrics.histogram(
    'parley_command_append_seconds',
    'Time until a record of commands was durable',
    { buckets: latencyBuckets },
  )
  const failed = metrics.counter(
    'parley_command_appends_failed_total',
    'Appends of commands that failed, their outcome unknown',
  )
  const replies = metrics.histogram(
    'parley_command_reply_seconds',
    'Time from taking a command in to its answer',
    { buckets: latencyBuckets, labels: ['outcome'] },
  )
  const stray = metrics.counter(
    'parley_command_stray_replies_total',
    'Replies that nobody waited for any more',
  )
  return {
    appended(commands, recordBytes, ms) {
      batch.observe(commands)
      bytes.inc(recordBytes)
      append.observe(ms / 1_000)
    },
    appendFailed: () => failed.inc(),
    answered: (outcome, ms) => replies.observe({ outcome }, ms / 1_000),
    strayReply: () => stray.inc(),
  }
}
