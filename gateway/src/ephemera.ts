import type { CursorWriter } from '@parley/platform/cursor-writer/cursor-writer'
import type { Bus } from '@parley/platform/ports/bus'
import type { Log as Logger } from '@parley/platform/process/logs'
import { createBudget } from './budget.ts'
import type { Connection } from './connection.ts'
import type { ConversationNotices } from './conversation-notices.ts'
import type { Directory } from './directory.ts'
import type { FanOut } from './fan-out.ts'
import type { Flusher } from './flusher.ts'
import type { GatewayMetrics } from './metrics.ts'
import { createPlaces } from './places.ts'
import { createPositions, type Positions } from './positions.ts'
import type { PresenceSource } from './presence.ts'
import type { GatewayBounds } from './settings.ts'
import { createTyping, type Typing } from './typing.ts'
import { createWatching, type Watching } from './watching.ts'

/** What is shown beside the events: typing, read positions, presence. */
export interface Ephemera {
  readonly typing: Typing
  readonly positions: Positions
  readonly watching: Watching
  /** The connection is gone. */
  forget(connection: Connection): void
  /** To be called a few times a second. */
  tick(now: number): void
}

export interface EphemeraParts {
  bus: Bus
  fanOut: FanOut
  flusher: Flusher
  directory: Directory
  presence: PresenceSource
  cursors: CursorWriter
  notices: ConversationNotices
  metrics: GatewayMetrics
  logger: Logger
  now: () => number
  bounds: GatewayBounds
}

export function createEphemera(parts: EphemeraParts): Ephemera {
  const { fanOut, directory, notices, now, bounds } = parts
  const shared = {
    ...parts,
    places: createPlaces(directory),
    publishes: createBudget(bounds.signals, now),
    deliveries: createBudget(bounds.signalDeliveries, now),
  }
  const typing = createTyping(shared)
  const positions = createPositions({
    ...shared,
    flushMs: bounds.readGatherMs,
    answerTimeoutMs: bounds.replyTimeoutMs,
  })
  const watching = createWatching({
    ...shared,
    subscribeWaitMs: bounds.subscribeWaitMs,
    maxWatched: bounds.maxWatched,
    refreshMs: bounds.presenceRefreshMs,
  })

  fanOut.observe({
    run(held, run, before) {
      typing.passed(held, run, before)
      watching.passed(held, run, before)
      if (run.updated > before) notices.retitled(held, run.updated)
    },
    signal(held, signal) {
      if (signal.type === 'typing') typing.heard(held, signal)
      else positions.heard(held, signal)
    },
    ended({ connection, room: { conversation, head } }) {
      typing.left(connection, conversation)
      watching.changed(connection, { type: 'removed', conversation, seq: head })
    },
    released({ room: { conversation } }) {
      typing.released(conversation)
      positions.released(conversation)
    },
  })

  return {
    typing,
    positions,
    watching,
    forget(connection) {
      typing.forget(connection)
      watching.forget(connection)
    },
    tick(at) {
      typing.tick(at)
      positions.tick(at)
      watching.tick()
    },
  }
}
