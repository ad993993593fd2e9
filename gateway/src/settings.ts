import { duration, integer, port, text, url } from '@parley/platform/process/setting-fields'
import { readSettings, type Settings } from '@parley/platform/process/settings'
import { sendRateSettings } from '@parley/platform/send-limiter/settings'
import type { Rate } from '@parley/platform/send-limiter/token-bucket'
import type { Welcome } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'

/** What an operator may set. */
export const gatewaySettings = {
  host: text('PARLEY_HOST', {
    default: '127.0.0.1',
    pattern: /^[0-9A-Za-z.:_-]{1,255}$/,
    allowed: 'an address or name of this machine',
  }),
  wsPort: port('PARLEY_WS_PORT', { default: 8081, orFree: true }),
  /** What clients are told to connect to, where that is not this machine's own address. */
  wsPublicUrl: url('PARLEY_WS_PUBLIC_URL', { optional: true, protocols: ['ws', 'wss'] }),
  ...sendRateSettings,
  /** Frames of any type that one connection may send; 20 times what its user may, unless told; 0 lifts it. */
  wsFramesPerSecond: integer('PARLEY_WS_FRAMES_PER_SECOND', {
    min: 0,
    max: 1_000_000,
    optional: true,
  }),
  /**
   * A connection from which nothing came for so long, not even the answer to a ping, is closed. With more than 36 a user
   * whose network is gone stays online beyond the 45 s of the protocol.
   */
  wsIdleSeconds: integer('PARLEY_WS_IDLE_SECONDS', { min: 8, max: 960, default: 32 }),
  wsMaxConnections: integer('PARLEY_WS_MAX_CONNECTIONS', {
    min: 1,
    max: 1_000_000,
    default: 16_000,
  }),
  wsMaxConnectionsPerUser: integer('PARLEY_WS_MAX_CONNECTIONS_PER_USER', {
    min: 1,
    max: 100_000,
    default: 1_000,
  }),
  /** Web pages that may connect, separated by commas; any when not set. Clients that are no browsers send no origin. */
  wsAllowedOrigins: text('PARLEY_WS_ALLOWED_ORIGINS', {
    optional: true,
    pattern: /^https?:\/\/[^\s,/]+(,https?:\/\/[^\s,/]+)*$/,
    allowed: 'origins such as https://chat.example.org, separated by commas',
  }),
  /** Bytes on their way to one reader; beyond, events are withheld until it has taken them. */
  wsReaderBacklogBytes: integer('PARLEY_WS_READER_BACKLOG_BYTES', {
    min: 64 * 1024,
    max: 64 * 1024 * 1024,
    default: 256 * 1024,
  }),
  wsSlowReaderMs: duration('PARLEY_WS_SLOW_READER', {
    minMs: 1_000,
    maxMs: 600_000,
    default: 30_000,
  }),
  wsDrainMs: duration('PARLEY_WS_DRAIN', { minMs: 100, maxMs: 600_000, default: 10_000 }),
  wsMaxWaitingCommands: integer('PARLEY_WS_MAX_WAITING_COMMANDS', {
    min: 1,
    max: 10_000_000,
    default: 50_000,
  }),
} as const

export type GatewaySettings = Settings<typeof gatewaySettings>

export const defaultGatewaySettings: GatewaySettings = readSettings(gatewaySettings, {}).settings

/** What a client is told of its bounds. */
export function welcomeLimits(config: GatewaySettings): Welcome['limits'] {
  return {
    frameBytes: limits.frameBytes,
    bodyBytes: limits.bodyBytes,
    textLength: limits.textLength,
    inFlight: limits.inFlight,
    messagesPerSecond: config.userMessagesPerSecond,
    idleSeconds: config.wsIdleSeconds,
  }
}

/** What is no setting: it follows from the contract, or nobody has had a reason to change it. Tests shorten times. */
export interface GatewayBounds {
  helloMs: number
  /** Conversations of one connection that are followed live. */
  maxConversations: number
  maxNotices: number
  subscribeWaitMs: number
  directoryTimeoutMs: number
  /** Pages of history being read at once. */
  pagesInFlight: number
  sessionCheckMs: number
  headsMs: number
  /** After a break of the bus everything is checked at once, and once more after this. */
  secondCheckMs: number
  answerBytes: number
  /** Typing, presence and positions are dropped while more than this is on its way to a reader. */
  ephemeralBytes: number
  messageBytes: number
  maxWaitingCommandBytes: number
  /** A record of commands: half of Kafka's usual `message.max.bytes`. */
  maxRecordBytes: number
  replyTimeoutMs: number
  /** How long read positions are gathered before they go into the log. */
  readGatherMs: number
  /** How long what presence is told of connections is gathered. */
  reportGatherMs: number
  /** How long a stop waits for read positions, and for what presence is told, to be in the log. */
  lastWriteMs: number
  /** How long a `conversation` frame waits for its `info`. */
  infoWaitMs: number
  /** Users watched, each counted once a connection. */
  maxWatched: number
  presenceRefreshMs: number
  /** Typing and read positions that this gateway puts on the bus. */
  signals: Rate
  /** Frames of typing and read positions that this gateway gives to readers. */
  signalDeliveries: Rate
}

export const defaultBounds: GatewayBounds = {
  helloMs: 5_000,
  maxConversations: 10_000,
  maxNotices: 1_000,
  subscribeWaitMs: 1_000,
  directoryTimeoutMs: 5_000,
  pagesInFlight: 256,
  sessionCheckMs: 3_000,
  headsMs: 2_000,
  secondCheckMs: 4_000,
  answerBytes: 1024 * 1024,
  ephemeralBytes: 64 * 1024,
  messageBytes: 64 * 1024,
  maxWaitingCommandBytes: 64 * 1024 * 1024,
  maxRecordBytes: 512 * 1024,
  replyTimeoutMs: 10_000,
  readGatherMs: 100,
  reportGatherMs: 100,
  lastWriteMs: 3_000,
  infoWaitMs: 1_500,
  maxWatched: 500_000,
  presenceRefreshMs: 30_000,
  signals: { perSecond: 5_000, burst: 10_000 },
  signalDeliveries: { perSecond: 50_000, burst: 100_000 },
}
