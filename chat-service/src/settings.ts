import { choice, integer, text } from '@parley/platform/process/setting-fields'
import { readSettings, type Settings } from '@parley/platform/process/settings'
import { sendRateSettings } from '@parley/platform/send-limiter/settings'
import { limits } from '@parley/proto/limits'

/** What an operator may set. */
export const chatSettings = {
  registration: choice('PARLEY_REGISTRATION', ['open', 'invite', 'closed'], { default: 'open' }),
  accessTokenSeconds: integer('PARLEY_ACCESS_TOKEN_SECONDS', {
    min: 1,
    max: 86_400,
    default: 900,
  }),
  refreshTokenDays: integer('PARLEY_REFRESH_TOKEN_DAYS', { min: 1, max: 3_650, default: 60 }),
  keyRotationDays: integer('PARLEY_KEY_ROTATION_DAYS', { min: 1, max: 3_650, default: 30 }),
  keySecret: text('PARLEY_KEY_SECRET', {
    optional: true,
    secret: true,
    pattern: /^.{32,1024}$/,
    allowed: 'at least 32 characters',
  }),
  maxHttpConnections: integer('PARLEY_HTTP_MAX_CONNECTIONS', {
    min: 1,
    max: 1_000_000,
    default: 10_000,
  }),
  ...sendRateSettings,
  /** Bounds of one partition's runner; see `RunnerBounds`. */
  maxWaitingItems: integer('PARLEY_SEQUENCER_MAX_WAITING', {
    min: 1,
    max: 1_000_000,
    default: 10_000,
  }),
  maxWeight: integer('PARLEY_SEQUENCER_MAX_KEPT', {
    min: 10_000,
    max: 100_000_000,
    default: 250_000,
  }),
  maxUnappendedBytes: integer('PARLEY_SEQUENCER_MAX_UNAPPENDED_BYTES', {
    min: 65_536,
    max: 1_073_741_824,
    default: 8 * 1024 * 1024,
  }),
} as const

export type ChatSettings = Settings<typeof chatSettings>

export const defaultChatSettings: ChatSettings = readSettings(chatSettings, {}).settings

/** What is no setting: it follows from the contract or from the log. */
export const runnerConstants = {
  keptIds: limits.keptIds,
  /** Half of Kafka's usual `message.max.bytes`, and several times the largest event. */
  maxRecordBytes: 512 * 1024,
  checkpointEveryMs: 500,
  commitAfterMs: 250,
  backoff: { firstMs: 50, maxMs: 2_000 },
} as const

export const replyBounds = { maxWaiting: 50_000, maxBatch: 1_000, timeoutMs: 5_000 } as const

export const writerBounds = {
  maxWaiting: 10_000,
  maxWaitingBytes: 16 * 1024 * 1024,
  maxRecordBytes: 512 * 1024,
  replyTimeoutMs: 10_000,
} as const

export const limiterSweepMs = 5_000

/** REST waits for each position, so they are gathered no longer than an append takes. */
export const cursorFlushMs = 5
