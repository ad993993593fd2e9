/** What an operator may set; `create.ts` takes them, `process.env` is read by whoever runs the process. */
export interface StorageWorkerSettings {
  /** A transaction takes whole records until it holds this many events. */
  transactionEvents: number
  /** Records of both logs that are kept behind the checkpoint, for late readers and for looking. */
  retainRecords: number
  /** How often the logs are trimmed behind the checkpoint; 0 when retention is the log's own business (Kafka). */
  trimIntervalMs: number
  /** How often lag is measured and the group's offset committed. */
  reportIntervalMs: number
  /** The database away: waits between tries, random up to a bound that doubles from the first to the second. */
  retryMinMs: number
  retryMaxMs: number
}

export const defaultSettings: Readonly<StorageWorkerSettings> = Object.freeze({
  transactionEvents: 2_000,
  retainRecords: 10_000,
  trimIntervalMs: 60_000,
  reportIntervalMs: 5_000,
  retryMinMs: 50,
  retryMaxMs: 5_000,
})
