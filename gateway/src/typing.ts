import type { Bus } from '@parley/platform/ports/bus'
import { readEventFrame } from '@parley/proto/event-frame'
import { type ConversationSignal, channels, encodeConversationSignal } from '@parley/proto/fan-out'
import type { Typing as TypingRequest } from '@parley/proto/frames'
import { formatId } from '@parley/proto/ids'
import type { Budget } from './budget.ts'
import { answer, type Connection } from './connection.ts'
import { errorFrame } from './error-frame.ts'
import type { FanOut, HeldRoom } from './fan-out.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { Places } from './places.ts'
import type { Run } from './reader.ts'
import { TypingSources } from './typing-sources.ts'
import { type TypingChange, TypingViews } from './typing-views.ts'

/** Who types: from connections to the bus, and from the bus to readers. Never logged, and dropped first ([G10]). */
export interface Typing {
  /** Answers the frame. */
  typed(connection: Connection, request: TypingRequest): Promise<void>
  /** A message of this connection has its place: it does not type there any more. */
  sent(connection: Connection, conversation: string): void
  /** It reads the conversation no more. */
  left(connection: Connection, conversation: string): void
  forget(connection: Connection): void
  heard(held: HeldRoom, signal: ConversationSignal & { type: 'typing' }): void
  /** Events that a room took in after `before`. */
  passed(held: HeldRoom, run: Run, before: number): void
  released(conversation: string): void
  /** Ends what has lasted too long; to be called a few times a second. */
  tick(now: number): void
}

export interface TypingParts {
  bus: Bus
  fanOut: Pick<FanOut, 'find' | 'show'>
  places: Places
  metrics: GatewayMetrics
  /** Of signals published. */
  publishes: Budget
  /** Of frames shown. */
  deliveries: Budget
  now: () => number
}

export function createTyping(parts: TypingParts): Typing {
  const { bus, fanOut, places, metrics, now } = parts
  const sources = new TypingSources<Connection>()
  const views = new TypingViews()

  function publish(connection: Connection, conversation: string, active: boolean): void {
    if (!parts.publishes.spend(1)) {
      metrics.signalDropped()
      return
    }
    const user = connection.user as string
    const signal = { type: 'typing' as const, user, active, origin: connection.id }
    const payload = encodeConversationSignal(signal)
    bus.publish(channels.conversation(conversation), payload).catch(metrics.signalDropped)
  }

  function show(change: TypingChange | null): void {
    const held = change === null ? undefined : fanOut.find(change.conversation)
    if (change === null || held === undefined) return
    const { conversation, user, active } = change
    // An end is always told: there are no more of them than of beginnings.
    if (active && !parts.deliveries.spend(held.room.readers.size)) {
      metrics.signalDropped()
      return
    }
    const but = ({ connection }: { connection: Connection }) => !change.to(connection.id)
    fanOut.show(held, { type: 'typing', conversation, user, active }, but)
  }

  function end(connection: Connection, conversation: string): void {
    if (sources.end(connection, conversation)) publish(connection, conversation, false)
  }

  return {
    async typed(connection, { conversation, active, ref }) {
      if (places.followed(connection, conversation) === null) {
        const place = await places.asked(connection, conversation)
        if (!connection.open) return
        if (!place.ok) {
          answer(connection, errorFrame(place, { ref }))
          return
        }
      }
      if (sources.say(connection, conversation, active, now())) {
        publish(connection, conversation, active)
      }
      if (ref !== undefined) answer(connection, { type: 'ok', ref })
    },
    sent: end,
    left: end,
    forget(connection) {
      for (const conversation of sources.endAll(connection)) {
        publish(connection, conversation, false)
      }
    },
    heard({ room }, signal) {
      show(views.heard({ conversation: room.conversation, ...signal }, now()))
    },
    passed({ room: { conversation } }, run, before) {
      for (const { seq, user } of run.removed) {
        if (seq > before) show(views.removed(conversation, user, now()))
      }
      if (!views.has(conversation)) return
      for (const frame of run.frames.slice(Math.max(0, before + 1 - run.first))) {
        const sender = senderOf(frame)
        if (sender !== null) show(views.spoke(conversation, sender))
      }
    },
    released: (conversation) => views.forget(conversation),
    tick(at) {
      for (const { connection, conversation } of sources.expire(at)) {
        publish(connection, conversation, false)
      }
      for (const change of views.expire(at)) show(change)
    },
  }
}

/** Of a message; null for events of other kinds, and for bytes that are none: readers are given them as they are. */
function senderOf(frame: Uint8Array): string | null {
  try {
    const { kind, sender } = readEventFrame(frame)
    return kind === 'message' ? formatId(sender) : null
  } catch {
    return null
  }
}
