import type { CursorWriter } from '@parley/platform/cursor-writer/cursor-writer'
import type { Bus } from '@parley/platform/ports/bus'
import { type Failure, failure } from '@parley/proto/errors'
import {
  type ConversationSignal,
  channels,
  encodeConversationSignal,
  encodeUserNotice,
  type UserNotice,
} from '@parley/proto/fan-out'
import type { Read } from '@parley/proto/frames'
import type { Budget } from './budget.ts'
import { chunkOf } from './chunks.ts'
import { answer, type Connection } from './connection.ts'
import type { Directory } from './directory.ts'
import { errorFrame } from './error-frame.ts'
import type { FanOut, HeldRoom } from './fan-out.ts'
import { shownUpToMembers } from './member-count.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { Places } from './places.ts'
import { type GatheredRead, ReadBatch } from './read-batch.ts'
import { ReadViews } from './read-views.ts'
import { type WaitingOk, WaitingOks } from './waiting-oks.ts'

/**
 * Read positions: clamped, gathered, into the log, and only then answered and shown. So what anyone was shown or told
 * `ok` is kept ([G9]).
 */
export interface Positions {
  /** Answers the frame, once the position is durable. */
  read(connection: Connection, request: Read): Promise<void>
  /** A member's position, from whichever gateway. */
  heard(held: HeldRoom, signal: ConversationSignal & { type: 'read' }): void
  /** A position of the connection's own user. */
  noticed(connection: Connection, notice: UserNotice & { type: 'read' }): void
  released(conversation: string): void
  /** Refuses answers that wait for too long; to be called a few times a second. */
  tick(now: number): void
  /** Resolves once what was gathered so far has been handed to the log and is durable, or was given up. */
  drained(): Promise<void>
}

export interface PositionsParts {
  bus: Bus
  cursors: CursorWriter
  fanOut: Pick<FanOut, 'find' | 'show'>
  places: Places
  directory: Pick<Directory, 'membership'>
  metrics: GatewayMetrics
  publishes: Budget
  deliveries: Budget
  now: () => number
  /** How long positions are gathered. */
  flushMs: number
  answerTimeoutMs: number
}

/** Positions gathered while others are on their way into the log. */
const maxGathered = 50_000
const answersPerConnection = 64
/** Conversations whose members are being counted at a time; positions in others are not shown then. */
const maxCounting = 256

export function createPositions(parts: PositionsParts): Positions {
  const { bus, cursors, fanOut, places, metrics } = parts
  const batch = new ReadBatch<WaitingOk>()
  const views = new ReadViews()
  const oks = new WaitingOks({
    perConnection: answersPerConnection,
    timeoutMs: parts.answerTimeoutMs,
  })
  const counting = new Map<string, Promise<number | null>>()
  let flushing: Promise<void> | null = null
  let timer: NodeJS.Timeout | null = null

  /** The position that a `read` means, if its author may say it, and the head it was held against. */
  async function place(
    connection: Connection,
    { conversation, seq }: Read,
  ): Promise<{ ok: true; seq: number; head: number } | Failure> {
    const reader = places.followed(connection, conversation)
    const known = reader?.room.knownHead ?? 0
    if (reader !== null && seq <= known) return { ok: true, seq, head: known }
    const asked = await places.asked(connection, conversation)
    if (!asked.ok) return asked
    const head = Math.max(asked.head, known)
    return { ok: true, seq: Math.min(seq, head), head }
  }

  function gather(
    connection: Connection,
    { conversation, ref }: Read,
    { seq, head }: { seq: number; head: number },
  ): Failure | null {
    const user = connection.user as string
    const cursor = { conversation, user, seq, head }
    if (batch.size >= maxGathered && !batch.has(cursor)) {
      return failure('overloaded', 'too many read positions wait for the log', 1_000)
    }
    const ok = ref === undefined ? null : oks.add(connection, ref, parts.now())
    if (ref !== undefined && ok === null) {
      const message = `at most ${answersPerConnection} reads may await their answer`
      return failure('too_many_inflight', message)
    }
    batch.put(cursor, connection.id, ok)
    schedule()
    return null
  }

  function schedule(): void {
    if (timer === null && flushing === null) timer = setTimeout(flush, parts.flushMs)
  }

  function flush(): void {
    if (timer !== null) clearTimeout(timer)
    timer = null
    flushing ??= write().finally(() => {
      flushing = null
      if (batch.size > 0) schedule()
    })
  }

  async function write(): Promise<void> {
    const reads = batch.take()
    const kept = reads.filter((read) => {
      if (cursors.advance(read)) return true
      const full = failure('overloaded', 'too many read positions wait for the log', 1_000)
      for (const ok of read.answers) oks.settle(ok, full)
      return false
    })
    const result = await cursors.flushed().then(
      () => ({ ok: true as const }),
      () => failure('unavailable', 'the log did not take it', 1_000),
    )
    for (const read of kept) {
      for (const ok of read.answers) oks.settle(ok, result)
    }
    if (result.ok) for (const read of kept) void tell(read)
  }

  /** The user's other connections always; the other members where there are few. */
  async function tell({ conversation, user, seq, origin }: GatheredRead<WaitingOk>): Promise<void> {
    publish(channels.user(user), encodeUserNotice({ type: 'read', conversation, seq, origin }))
    const count = fanOut.find(conversation)?.memberCount ?? (await countMembers(conversation, user))
    if (count === null || count > shownUpToMembers) return
    publish(
      channels.conversation(conversation),
      encodeConversationSignal({ type: 'read', user, seq }),
    )
  }

  /** Null when the directory can't tell now: then the position is not shown. */
  function countMembers(conversation: string, user: string): Promise<number | null> {
    let asking = counting.get(conversation)
    if (asking !== undefined) return asking
    if (counting.size >= maxCounting) return Promise.resolve(null)
    asking = askMemberCount(conversation, user).finally(() => counting.delete(conversation))
    counting.set(conversation, asking)
    return asking
  }

  async function askMemberCount(conversation: string, user: string): Promise<number | null> {
    const held = fanOut.find(conversation)
    const answered = await parts.directory.membership(user, conversation, held?.room.head ?? 0)
    if (answered === 'unavailable' || !answered.inside) return null
    if (held !== undefined && answered.head >= held.room.head) {
      held.memberCount = answered.memberCount
    }
    return answered.memberCount
  }

  function publish(channel: string, payload: Uint8Array): void {
    if (parts.publishes.spend(1)) bus.publish(channel, payload).catch(metrics.signalDropped)
    else metrics.signalDropped()
  }

  return {
    async read(connection, request) {
      const { conversation, ref } = request
      const placed = await place(connection, request)
      if (!connection.open) return
      const reader = connection.readers.get(conversation)
      if (placed.ok && reader !== undefined && placed.seq <= reader.read) {
        if (ref !== undefined) answer(connection, { type: 'ok', ref })
        return
      }
      const refused = placed.ok ? gather(connection, request, placed) : placed
      if (refused !== null) answer(connection, errorFrame(refused, { ref }))
    },
    heard(held, { user, seq }) {
      const { conversation, readers } = held.room
      if (!views.advance(conversation, user, seq)) return
      if (!parts.deliveries.spend(readers.size)) {
        metrics.signalDropped()
        return
      }
      const frame = { type: 'read' as const, conversation, user, seq }
      fanOut.show(held, frame, (reader) => reader.user === user)
    },
    noticed(connection, { conversation, seq, origin }) {
      const reader = connection.readers.get(conversation)
      if (reader === undefined || seq <= reader.read) return
      reader.read = seq
      if (connection.id === origin || !reader.introduced) return
      const { codec } = connection.out
      const frame = { type: 'read' as const, conversation, user: reader.user, seq }
      connection.out.ephemeral(chunkOf(codec, [codec.encodeServerFrame(frame)]))
    },
    released: (conversation) => views.forget(conversation),
    tick: (now) => oks.expire(now),
    async drained() {
      while (batch.size > 0 || flushing !== null) {
        flush()
        await flushing
      }
    },
  }
}
