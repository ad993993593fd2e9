import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export interface StorageMetrics {
  events: Counter
  transactionSeconds: Histogram
  retries: Counter
  raceLosses: Counter
  publishesLost: Counter
  trimFailures: Counter
  lag: Gauge<'partition'>
  stopped: Gauge<'partition'>
}

export function createStorageMetrics(registry: Registry): StorageMetrics {
  const registers = [registry]
  return {
    events: new Counter({
      name: 'parley_storage_events_total',
      help: 'Events written to the database.',
      registers,
    }),
    transactionSeconds: new Histogram({
      name: 'parley_storage_transaction_seconds',
      help: 'Transactions that wrote a batch; their count is the number of batches.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    }),
    retries: new Counter({
      name: 'parley_storage_retries_total',
      help: 'Transactions tried again because the database was away or asked for it.',
      registers,
    }),
    raceLosses: new Counter({
      name: 'parley_storage_race_losses_total',
      help: 'Batches rolled back because another worker had moved the checkpoint.',
      registers,
    }),
    publishesLost: new Counter({
      name: 'parley_storage_publishes_lost_total',
      help: 'Notices that the bus did not take.',
      registers,
    }),
    trimFailures: new Counter({
      name: 'parley_storage_trim_failures_total',
      help: 'Trims of the logs that failed; the next one makes up for them.',
      registers,
    }),
    lag: new Gauge({
      name: 'parley_storage_lag_records',
      help: 'Records of the events log that are not in the database yet.',
      labelNames: ['partition'],
      registers,
    }),
    stopped: new Gauge({
      name: 'parley_storage_stopped',
      help: '1 for a partition that stopped because log and database contradict each other.',
      labelNames: ['partition'],
      registers,
    }),
  }
}
