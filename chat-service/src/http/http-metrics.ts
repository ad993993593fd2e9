import { latencyBuckets, type Metrics } from '@parley/platform/process/metrics'

export function createHttpMetrics(metrics: Metrics) {
  return {
    requests: metrics.histogram(
      'parley_http_request_seconds',
      'Requests by route and status; from the headers to the end of the answer.',
      { buckets: latencyBuckets, labels: ['method', 'route', 'status'] },
    ),
    refusals: metrics.counter(
      'parley_http_refusals_total',
      'Answers that were problems, by code.',
      ['code'],
    ),
  }
}

export type HttpMetrics = ReturnType<typeof createHttpMetrics>
