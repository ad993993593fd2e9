import { duration, integer } from '@parley/platform/process/setting-fields'
import { readSettings, type Settings } from '@parley/platform/process/settings'

/** What an operator may set. */
export const storageSettings = {
  /** A transaction takes whole records until it holds this many events. */
  transactionEvents: integer('PARLEY_STORAGE_TRANSACTION_EVENTS', {
    min: 1,
    max: 20_000,
    default: 2_000,
  }),
  /** Records of both logs that are kept behind the checkpoint, for late readers and for looking. */
  retainRecords: integer('PARLEY_STORAGE_RETAIN_RECORDS', {
    min: 0,
    max: 1_000_000_000,
    default: 10_000,
  }),
  /** How often the logs are trimmed behind the checkpoint; 0 where retention is the log's own business (Kafka). */
  trimIntervalMs: duration('PARLEY_STORAGE_TRIM_INTERVAL', {
    minMs: 0,
    maxMs: 86_400_000,
    default: 60_000,
  }),
  /** How often lag is measured and the group's offset committed. */
  reportIntervalMs: duration('PARLEY_STORAGE_REPORT_INTERVAL', {
    minMs: 10,
    maxMs: 600_000,
    default: 5_000,
  }),
  /** How long a cursor waits for its member or its head at least, before it is given up once the projection is past it. */
  cursorWaitMs: duration('PARLEY_STORAGE_CURSOR_WAIT', {
    minMs: 0,
    maxMs: 600_000,
    default: 5_000,
  }),
  /** Cursors of a partition that wait so; beyond, the partition is read no further until some are settled. */
  maxWaitingCursors: integer('PARLEY_STORAGE_MAX_WAITING_CURSORS', {
    min: 1,
    max: 1_000_000,
    default: 10_000,
  }),
  /** The database away: waits between tries, random up to a bound that doubles from the first to the second. */
  retryMinMs: duration('PARLEY_STORAGE_RETRY_MIN', { minMs: 1, maxMs: 60_000, default: 50 }),
  retryMaxMs: duration('PARLEY_STORAGE_RETRY_MAX', { minMs: 1, maxMs: 600_000, default: 5_000 }),
}

export type StorageWorkerSettings = Settings<typeof storageSettings>

export const defaultSettings: StorageWorkerSettings = readSettings(storageSettings, {}).settings
