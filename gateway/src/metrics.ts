import type { Metrics } from '@parley/platform/process/metrics'

/** What a gateway counts. Labels are types and codes of the protocol, never what a client chose. */
export interface GatewayMetrics {
  frameIn(type: string): void
  answered(type: string): void
  refused(code: string): void
  closed(code: number): void
  upgradeRefused(status: string): void
  /** Events handed to readers. */
  deliveries(count: number): void
  withheld(): void
  gap(): void
  /** Something ephemeral was not shown, or a signal of it not published. */
  signalDropped(): void
  /** One message written, and how many frames it holds. */
  written(frames: number, bytes: number): void
  helloMs(ms: number): void
  /** Brings into the counters what was gathered since; to be called every 100 ms or so. */
  settle(): void
}

export function createGatewayMetrics(
  metrics: Metrics,
  read: {
    connections: () => number
    rooms: () => number
    lagging: () => number
    watched: () => number
    backlogBytes: () => number
  },
): GatewayMetrics {
  const framesIn = metrics.counter('parley_gateway_frames_in_total', 'Frames received', ['type'])
  const framesOut = metrics.counter('parley_gateway_answers_total', 'Answers sent', ['type'])
  const refused = metrics.counter('parley_gateway_errors_total', 'Errors told', ['code'])
  const closes = metrics.counter('parley_gateway_closes_total', 'Sockets closed', ['code'])
  const upgrades = metrics.counter(
    'parley_gateway_upgrades_refused_total',
    'Upgrades to WebSocket refused',
    ['status'],
  )
  const deliveries = metrics.counter('parley_gateway_deliveries_total', 'Events given to readers')
  const withheld = metrics.counter(
    'parley_gateway_withheld_total',
    'Times that events were withheld from a reader whose link was full',
  )
  const gaps = metrics.counter('parley_gateway_gaps_total', 'Gaps told to readers')
  const signals = metrics.counter(
    'parley_gateway_signals_dropped_total',
    'Typing, presence and read positions that were not passed on',
  )
  const messages = metrics.counter('parley_gateway_messages_out_total', 'Messages written')
  const frames = metrics.counter('parley_gateway_frames_out_total', 'Frames written')
  const bytes = metrics.counter('parley_gateway_bytes_out_total', 'Bytes written')
  const hellos = metrics.histogram('parley_gateway_hello_seconds', 'From hello to welcome', {
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  })
  metrics.observe('parley_gateway_connections', 'Open sockets', read.connections)
  metrics.observe('parley_gateway_rooms', 'Conversations with a reader here', read.rooms)
  metrics.observe('parley_gateway_lagging', 'Readers whose link is full', read.lagging)
  metrics.observe('parley_gateway_watched', 'Users in watches', read.watched)
  metrics.observe(
    'parley_gateway_backlog_bytes',
    'Bytes on their way to readers that their kernels have not taken',
    read.backlogBytes,
  )
  // A counter costs as much as a delivery, so what happens once a reader is gathered first.
  const gathered = { deliveries: 0, messages: 0, frames: 0, bytes: 0 }
  return {
    frameIn: (type) => framesIn.inc({ type }),
    answered: (type) => framesOut.inc({ type }),
    refused: (code) => refused.inc({ code }),
    closed: (code) => closes.inc({ code: closeLabel(code) }),
    upgradeRefused: (status) => upgrades.inc({ status }),
    deliveries(count) {
      gathered.deliveries += count
    },
    withheld: () => withheld.inc(),
    gap: () => gaps.inc(),
    signalDropped: () => signals.inc(),
    written(ofFrames, ofBytes) {
      gathered.messages += 1
      gathered.frames += ofFrames
      gathered.bytes += ofBytes
    },
    helloMs: (ms) => hellos.observe(ms / 1_000),
    settle() {
      deliveries.inc(gathered.deliveries)
      messages.inc(gathered.messages)
      frames.inc(gathered.frames)
      bytes.inc(gathered.bytes)
      Object.assign(gathered, { deliveries: 0, messages: 0, frames: 0, bytes: 0 })
    },
  }
}

/** A client may close with any code from 3000 to 4999. */
const knownCodes = new Set([
  1000, 1001, 1005, 1006, 1009, 1011, 4000, 4001, 4002, 4003, 4004, 4008, 4009, 4013, 4029,
])

function closeLabel(code: number): string {
  return knownCodes.has(code) ? String(code) : 'other'
}
