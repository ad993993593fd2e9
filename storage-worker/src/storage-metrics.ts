import { latencyBuckets, type Metrics } from '@parley/platform/process/metrics'

export function createStorageMetrics(metrics: Metrics) {
  return {
    events: metrics.counter('parley_storage_events_total', 'Events written to the database.'),
    transactionSeconds: metrics.histogram(
      'parley_storage_transaction_seconds',
      'Transactions that wrote a batch; their count is the number of batches.',
      { buckets: latencyBuckets },
    ),
    retries: metrics.counter(
      'parley_storage_retries_total',
      'Transactions tried again because the database was away or asked for it.',
    ),
    raceLosses: metrics.counter(
      'parley_storage_race_losses_total',
      'Batches not written because another worker had moved the checkpoint.',
    ),
    publishesLost: metrics.counter(
      'parley_storage_publishes_lost_total',
      'Notices that the bus did not take.',
    ),
    trimFailures: metrics.counter(
      'parley_storage_trim_failures_total',
      'Trims of the logs that failed; the next one makes up for them.',
    ),
    lag: metrics.gauge(
      'parley_storage_lag_records',
      'Records of the events log that are not in the database yet.',
      ['partition'],
    ),
    stopped: metrics.gauge(
      'parley_storage_stopped',
      '1 for a partition that stopped because log and database contradict each other.',
      ['partition'],
    ),
    cursors: metrics.counter(
      'parley_storage_cursors_total',
      'Cursors applied to the read position of a member, or found to lie behind it.',
    ),
    cursorsDropped: metrics.counter(
      'parley_storage_cursors_dropped_total',
      'Cursors of users outside, or beyond the head, given up once the projection was past them.',
    ),
    cursorsWaiting: metrics.gauge(
      'parley_storage_cursors_waiting',
      'Cursors that wait for the projection to reach them.',
      ['partition'],
    ),
    cursorLag: metrics.gauge(
      'parley_storage_cursor_lag_records',
      'Records of the cursors log that are not stored as applied yet.',
      ['partition'],
    ),
    cursorsStopped: metrics.gauge(
      'parley_storage_cursors_stopped',
      '1 for a partition of the cursors log that stopped.',
      ['partition'],
    ),
  }
}

export type StorageMetrics = ReturnType<typeof createStorageMetrics>
