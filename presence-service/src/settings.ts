import { duration, integer } from '@parley/platform/process/setting-fields'
import { readSettings, type Settings } from '@parley/platform/process/settings'

/** What an operator may set. The protocol's own times are no settings (`presenceTimes` in proto). */
export const presenceSettings = {
  /** How often expired leases are asked for; what the sessions log says is looked at at once. */
  sweepIntervalMs: duration('PARLEY_PRESENCE_SWEEP_INTERVAL', {
    minMs: 10,
    maxMs: 1_000,
    default: 250,
  }),
  /** Leases and users in one call of the store. */
  batch: integer('PARLEY_PRESENCE_BATCH', { min: 1, max: 10_000, default: 1_000 }),
  /** Users of one partition that may wait to be told of; beyond, changes wait in the store. */
  maxWaiting: integer('PARLEY_PRESENCE_MAX_WAITING', { min: 1, max: 1_000_000, default: 50_000 }),
  /** Users of one partition of whom it is remembered what was told; of others the same may be told again. */
  maxTold: integer('PARLEY_PRESENCE_MAX_TOLD', { min: 1, max: 10_000_000, default: 200_000 }),
  /** Store or bus away: waits between tries, random up to a bound that doubles from the first to the second. */
  retryMinMs: duration('PARLEY_PRESENCE_RETRY_MIN', { minMs: 1, maxMs: 60_000, default: 50 }),
  retryMaxMs: duration('PARLEY_PRESENCE_RETRY_MAX', { minMs: 1, maxMs: 60_000, default: 1_000 }),
  /** A call of the store or the bus that takes longer has failed. */
  callTimeoutMs: duration('PARLEY_PRESENCE_CALL_TIMEOUT', {
    minMs: 10,
    maxMs: 60_000,
    default: 5_000,
  }),
  /** How often the group's offset is committed and its lag measured. */
  commitIntervalMs: duration('PARLEY_PRESENCE_COMMIT_INTERVAL', {
    minMs: 10,
    maxMs: 60_000,
    default: 1_000,
  }),
  /**
   * How often the sessions log is trimmed, up to the committed offset of one interval ago; 0 where retention is the
   * log's own business (Kafka).
   */
  trimIntervalMs: duration('PARLEY_PRESENCE_TRIM_INTERVAL', {
    minMs: 0,
    maxMs: 86_400_000,
    default: 60_000,
  }),
}

export type PresenceSettings = Settings<typeof presenceSettings>

export const defaultSettings: PresenceSettings = readSettings(presenceSettings, {}).settings
