import { readFileSync } from 'node:fs'
import { newId } from '@parley/proto/ids'
import { messagePackCodec } from '@parley/proto/msgpack-codec'
import { build, type Histogram } from 'hdr-histogram-js'
import { type LeanSocket, openLeanSocket } from './lean-socket.ts'
import { ackMark, countMarks, eventMark } from './wire-marks.ts'

/**
 * The load, a process of its own: connections that send at a rate or as fast as acks come, and readers that count. It
 * reads its plan as JSON from stdin, prints `begin` and `end` around the measured stretch, and then its
 * figures as one line of JSON.
 */

export interface LoadPlan {
  wsUrl: string
  /** Connections; each sends to its conversation. */
  senders: { token: string; conversation: string }[]
  /** Connections that only read `conversation`. */
  readers: { token: string; conversation: string }[]
  /** Over all senders; 0 is as fast as acks come. */
  messagesPerSecond: number
  /** Unanswered sends a connection may have. */
  inFlight: number
  warmUpMs: number
  measureMs: number
  textBytes: number
}

export interface LoadFigures {
  sent: number
  acked: number
  /** Sends still without an answer half a second after the end: refused or lost, 0 when all is well. */
  unanswered: number
  /** Events shown to all connections in the measured stretch. */
  delivered: number
  /** Of all events from first to last, the share that was shown; 1 when none is missing. */
  deliveredShare: number
  /** WebSocket messages in which those came. */
  messages: number
  measuredMs: number
  /** CPU of this process, in seconds. */
  cpu: number
  /** Send to ack, microseconds. */
  latencyUs: Record<string, number>
}

interface Connection {
  socket: LeanSocket
  unanswered: Map<string, number>
}

async function main(plan: LoadPlan): Promise<void> {
  const state = { measuring: false, sent: 0, acked: 0, delivered: 0, messages: 0, shown: 0 }
  const perConversation = new Map<string, number>()
  for (const { conversation } of [...plan.senders, ...plan.readers]) {
    perConversation.set(conversation, (perConversation.get(conversation) ?? 0) + 1)
  }
  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: 60_000_000 })
  const text = 'x'.repeat(plan.textBytes)
  let expected = 0

  const send = (connection: Connection, conversation: string) => {
    const id = newId()
    connection.unanswered.set(idKey(id), performance.now())
    connection.socket.send(
      messagePackCodec.encodeClientFrame({ type: 'send', id, conversation, body: { text } }),
    )
    expected += perConversation.get(conversation) ?? 0
    if (state.measuring) state.sent += 1
  }
  const senders = await connectAll(plan, plan.senders, (connection, conversation, bytes) => {
    count(state, bytes, conversation)
    onAcks(connection, bytes, (ms) => {
      if (!state.measuring) return
      state.acked += 1
      histogram.recordValue(Math.max(1, Math.round(ms * 1_000)))
    })
    if (plan.messagesPerSecond > 0 || stopped) return
    while (connection.unanswered.size < plan.inFlight) send(connection, conversation)
  })
  let stopped = false
  const readers = await connectAll(plan, plan.readers, (_connection, conversation, bytes) =>
    count(state, bytes, conversation),
  )

  const pacer = paced(plan, senders, send)
  await elapse(plan.warmUpMs)
  console.log('begin')
  const began = performance.now()
  const cpuBefore = process.cpuUsage()
  state.measuring = true
  await elapse(plan.measureMs)
  state.measuring = false
  const cpu = process.cpuUsage(cpuBefore)
  const measuredMs = performance.now() - began
  console.log('end')
  stopped = true
  pacer.stop()
  await elapse(500)
  const figures: LoadFigures = {
    sent: state.sent,
    acked: state.acked,
    delivered: state.delivered,
    messages: state.messages,
    unanswered: senders.reduce((sum, { unanswered }) => sum + unanswered.size, 0),
    deliveredShare: state.shown / expected,
    measuredMs,
    cpu: (cpu.user + cpu.system) / 1e6,
    latencyUs: percentiles(histogram),
  }
  console.log(JSON.stringify(figures))
  for (const { socket } of [...senders, ...readers]) socket.close()
}

type Counted = { measuring: boolean; delivered: number; messages: number; shown: number }
const marks = new Map<string, Buffer>()

function count(state: Counted, bytes: Buffer, conversation: string): void {
  let mark = marks.get(conversation)
  if (mark === undefined) {
    mark = eventMark(conversation)
    marks.set(conversation, mark)
  }
  const events = countMarks(bytes, mark)
  state.shown += events
  if (!state.measuring) return
  state.delivered += events
  if (events > 0) state.messages += 1
}

function idKey(id: string): string {
  return id.replaceAll('-', '')
}

function onAcks(connection: Connection, bytes: Buffer, acked: (ms: number) => void): void {
  for (let at = bytes.indexOf(ackMark); at >= 0; at = bytes.indexOf(ackMark, at + 1)) {
    const start = at + ackMark.length
    const key = bytes.toString('hex', start, start + 16)
    const sentAt = connection.unanswered.get(key)
    if (sentAt === undefined) continue
    connection.unanswered.delete(key)
    acked(performance.now() - sentAt)
  }
}

async function connectAll(
  plan: LoadPlan,
  list: readonly { token: string; conversation: string }[],
  onMessage: (connection: Connection, conversation: string, bytes: Buffer) => void,
): Promise<Connection[]> {
  const connections: Connection[] = []
  for (const { token, conversation } of list) {
    const connection: Connection = { socket: { send() {}, close() {} }, unanswered: new Map() }
    let welcomed: () => void = () => {}
    let refused: (error: Error) => void = () => {}
    const welcome = new Promise<void>((resolve, reject) => {
      welcomed = resolve
      refused = reject
    })
    let greeted = false
    connection.socket = await openLeanSocket(
      plan.wsUrl,
      (bytes) => {
        if (greeted) onMessage(connection, conversation, bytes)
        else {
          greeted = true
          const answer = messagePackCodec.decodeServerMessage(bytes)
          if (answer.ok && JSON.stringify(answer.frames).includes('"welcome"')) welcomed()
          else refused(new Error(`no welcome: ${JSON.stringify(answer)}`))
        }
      },
      () => {
        if (!ended) fail(new Error('a connection was closed'))
      },
    )
    connection.socket.send(
      messagePackCodec.encodeClientFrame({ type: 'hello', token, device: newId() }),
    )
    await welcome
    connections.push(connection)
  }
  return connections
}

/** Sends at the rate, in turn over the connections, and starts the ones that go as fast as acks come. */
function paced(
  plan: LoadPlan,
  senders: Connection[],
  send: (connection: Connection, conversation: string) => void,
): { stop(): void } {
  const conversationOf = (i: number) => plan.senders[i]?.conversation as string
  if (plan.messagesPerSecond === 0) {
    for (const [i, connection] of senders.entries()) {
      for (let n = 0; n < plan.inFlight; n++) send(connection, conversationOf(i))
    }
    return { stop() {} }
  }
  const began = performance.now()
  let turn = 0
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - began) * plan.messagesPerSecond) / 1_000)
    for (; turn < due; turn++) {
      const i = turn % senders.length
      const connection = senders[i] as Connection
      if (connection.unanswered.size < plan.inFlight) send(connection, conversationOf(i))
    }
  }, 1)
  return { stop: () => clearInterval(timer) }
}

function percentiles(histogram: Histogram): Record<string, number> {
  const at = (percentile: number) => histogram.getValueAtPercentile(percentile)
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: histogram.maxValue }
}

function elapse(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

let ended = false
function fail(error: Error): void {
  console.error(error.message)
  process.exit(1)
}

await main(JSON.parse(readFileSync(0, 'utf8')) as LoadPlan)
ended = true
process.exit(0)
