import type { Metrics } from '@parley/platform/process/metrics'

export function createPresenceMetrics(metrics: Metrics) {
  return {
    notices: metrics.counter('parley_presence_notices_total', 'Session notices written as leases.'),
    dropped: metrics.counter(
      'parley_presence_notices_dropped_total',
      'Session notices not written: older than a lease, or no room in the store.',
      ['reason'],
    ),
    changes: metrics.counter('parley_presence_changes_total', 'Changes of presence published.', [
      'state',
    ]),
    publishFailures: metrics.counter(
      'parley_presence_publish_failures_total',
      'Publishes that the bus did not take; the user is told of again.',
    ),
    storeFailures: metrics.counter(
      'parley_presence_store_failures_total',
      'Calls of the presence store that failed; they are made again.',
    ),
    trimFailures: metrics.counter(
      'parley_presence_trim_failures_total',
      'Trims of the sessions log that failed; the next one makes up for them.',
    ),
    waiting: metrics.gauge(
      'parley_presence_waiting_users',
      'Users whose change is not told yet, those expected to become away included.',
      ['partition'],
    ),
    lag: metrics.gauge(
      'parley_presence_lag_records',
      'Records of the sessions log that are not written as leases yet.',
      ['partition'],
    ),
    stopped: metrics.gauge(
      'parley_presence_stopped',
      '1 for a partition that stopped at a record that can not be read.',
      ['partition'],
    ),
  }
}

export type PresenceMetrics = ReturnType<typeof createPresenceMetrics>
