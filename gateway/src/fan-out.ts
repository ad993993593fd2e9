import type { Bus } from '@parley/platform/ports/bus'
import type { Log as Logger } from '@parley/platform/process/logs'
import type { Codec } from '@parley/proto/codec'
import { type ConversationSignal, channels, decodeConversationPayload } from '@parley/proto/fan-out'
import type { ServerFrame } from '@parley/proto/frames'
import { type Channel, openChannel } from './channel.ts'
import { chunkOf, RunChunks } from './chunks.ts'
import { answer, type Connection } from './connection.ts'
import type { Flusher } from './flusher.ts'
import { announceHeads } from './heads.ts'
import { memberCountAfter } from './member-count.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { Chunk } from './outbound.ts'
import type { Reader, RoomSink, Run } from './reader.ts'
import { Room } from './rooms.ts'
import { merged, runOf } from './runs.ts'

/** A room with its subscription, kept while somebody holds it. */
export interface HeldRoom {
  readonly room: Room<Connection>
  readonly channel: Channel
  holds: number
  /** Publishes that came since the last flush. */
  inbox: Run[]
  /** Signals that came since the last flush, at most `maxSignals`. */
  signals: ConversationSignal[]
  /** How many belong to the conversation, as `memberCountAfter` has it. */
  memberCount: number | null
}

/** Who wants to know what goes by in rooms; told after their readers. */
export interface RoomObserver {
  /** Events that the room took in; `before` was its head. */
  run(held: HeldRoom, run: Run, before: number): void
  signal(held: HeldRoom, signal: ConversationSignal): void
  /** The reader's user is outside now. */
  ended(reader: Reader<Connection>): void
  /** Nobody reads the room any more. */
  released(held: HeldRoom): void
}

export interface FanOutParts {
  bus: Bus
  flusher: Flusher
  logger: Logger
  metrics: GatewayMetrics
  /** Room for one chunk of a room's events. */
  chunkBytes: number
  recheck: RoomSink<Connection>['recheck']
  /** The connection's user was removed and has been added again by event `seq`. */
  readmitted: (connection: Connection, conversation: string, seq: number) => void
  /** A room was not heard for a while: its head must be looked up. */
  onLate: () => void
}

/** Signals of one room between two flushes; further ones are dropped ([G10]). */
const maxSignals = 256

/** From the bus to connections: one subscription a conversation, one chunk a codec, one flush a turn of the loop. */
export interface FanOut {
  /** Whom to tell of what goes by; one at a time. */
  observe(observer: RoomObserver): void
  /** Makes or keeps the room; `of` is what the directory says. To be given back by `release`. */
  hold(conversation: string, of: { head: number; memberCount?: number }): HeldRoom
  release(held: HeldRoom): void
  find(conversation: string): HeldRoom | undefined
  /** Work for the next flush, after the events that came before it. */
  afterEvents(work: () => void): void
  /** One frame for all who read a room and whose link carries it, but for those whom `but` names. */
  show(held: HeldRoom, frame: ServerFrame, but?: (reader: Reader<Connection>) => boolean): void
  /** Events of a page for one reader, in front of what it gets live. False as in `RoomSink.deliver`. */
  page(reader: Reader<Connection>, chunks: readonly Chunk[]): boolean
  /** Asks links that lag whether they carry events again. */
  recover(): void
  /** Tells readers the heads of rooms that were active since the last call. */
  announceHeads(): void
  tick(): void
  forget(connection: Connection): void
  readonly rooms: number
  readonly lagging: number
}

export function createFanOut(parts: FanOutParts): FanOut {
  const { bus, flusher, logger, metrics } = parts
  const rooms = new Map<string, HeldRoom>()
  const dirty = new Set<HeldRoom>()
  const lagging = new Set<Connection>()
  const chunks = new RunChunks(parts.chunkBytes)
  let works: (() => void)[] = []
  let observer: RoomObserver | null = null

  function offer(connection: Connection, chunk: Chunk): boolean {
    if (connection.out.events(chunk)) return true
    if (connection.open) lagging.add(connection)
    return false
  }

  function send(reader: Reader<Connection>, all: readonly Chunk[]): boolean {
    for (const chunk of all) {
      if (offer(reader.connection, chunk)) continue
      if (reader.connection.open) reader.connection.owed.add(reader)
      metrics.withheld()
      return false
    }
    return true
  }

  const sink: RoomSink<Connection> = {
    deliver(reader, run, first, last) {
      metrics.deliveries(last - first + 1)
      return send(reader, chunks.of(run, reader.connection.out.codec, first, last))
    },
    gap(reader, head) {
      const { codec } = reader.connection.out
      const { conversation } = reader.room
      const frame = codec.encodeServerFrame({ type: 'gap', conversation, head })
      const told = send(reader, [chunkOf(codec, [frame])])
      if (told) metrics.gap()
      return told
    },
    removed(reader) {
      const { connection, introduced, room } = reader
      const { conversation } = room
      if (introduced) answer(connection, { type: 'conversation', change: 'removed', conversation })
      unbind(connection, conversation)
      observer?.ended(reader)
    },
    readmitted({ connection, room }, seq) {
      parts.readmitted(connection, room.conversation, seq)
    },
    recheck: parts.recheck,
  }

  function unbind(connection: Connection, conversation: string): void {
    const reader = connection.readers.get(conversation)
    if (reader === undefined) return
    connection.readers.delete(conversation)
    connection.owed.delete(reader)
    const held = rooms.get(conversation)
    if (held !== undefined) release(held)
  }

  function release(held: HeldRoom): void {
    held.holds -= 1
    if (held.holds > 0) return
    held.channel.close()
    rooms.delete(held.room.conversation)
    dirty.delete(held)
    observer?.released(held)
  }

  function hold(
    conversation: string,
    { head, memberCount }: { head: number; memberCount?: number },
  ): HeldRoom {
    let held = rooms.get(conversation)
    if (held === undefined) {
      const room = new Room<Connection>(conversation, head, sink)
      const channel = openChannel({
        bus,
        name: channels.conversation(conversation),
        handler: (payload) => take(conversation, payload),
        onLate: parts.onLate,
      })
      held = { room, channel, holds: 0, inbox: [], signals: [], memberCount: null }
      rooms.set(conversation, held)
    }
    if (memberCount !== undefined && head >= held.room.head) held.memberCount = memberCount
    held.holds += 1
    return held
  }

  function take(conversation: string, payload: Uint8Array): void {
    const held = rooms.get(conversation)
    if (held === undefined) return
    try {
      const said = decodeConversationPayload(payload)
      if (said.type === 'events') held.inbox.push(runOf(said))
      else if (held.signals.length < maxSignals) held.signals.push(said)
    } catch (error) {
      logger.error({ err: error, conversation }, 'a publish could not be read')
      return
    }
    dirty.add(held)
    flusher.schedule()
  }

  function flush(): void {
    for (const held of dirty) {
      dirty.delete(held)
      const { inbox, signals } = held
      held.inbox = []
      held.signals = []
      for (const run of merged(inbox)) publish(held, run)
      for (const signal of signals) observer?.signal(held, signal)
    }
    const due = works
    works = []
    for (const work of due) work()
  }

  function publish(held: HeldRoom, run: Run): void {
    const { room } = held
    const before = room.head
    held.memberCount = memberCountAfter(held.memberCount, run, before)
    room.publish(run)
    observer?.run(held, run, before)
  }

  /** [G10] Encoded once a codec; who can't take it now goes without. */
  function show(
    { room }: HeldRoom,
    frame: ServerFrame,
    but?: (reader: Reader<Connection>) => boolean,
  ): void {
    const made = new Map<Codec, Chunk>()
    for (const reader of room.readers) {
      const { out } = reader.connection
      if (reader.state === 'held' || !reader.introduced || but?.(reader)) continue
      let chunk = made.get(out.codec)
      if (chunk === undefined) {
        chunk = chunkOf(out.codec, [out.codec.encodeServerFrame(frame)])
        made.set(out.codec, chunk)
      }
      out.ephemeral(chunk)
    }
  }

  function recover(): void {
    for (const connection of lagging) {
      if (connection.open && !connection.out.recovered()) continue
      lagging.delete(connection)
      for (const reader of [...connection.owed]) {
        if (!connection.open || connection.out.laggingSince !== null) break
        if (reader.room.drained(reader)) connection.owed.delete(reader)
      }
    }
  }

  flusher.before(recover)
  flusher.before(flush)

  return {
    observe(one) {
      observer = one
    },
    hold,
    release,
    find: (conversation) => rooms.get(conversation),
    afterEvents(work) {
      works.push(work)
      flusher.schedule()
    },
    show,
    page: send,
    recover() {
      if (lagging.size > 0) flusher.schedule()
    },
    announceHeads: () => announceHeads(rooms.values(), offer),
    tick() {
      for (const { room } of rooms.values()) room.tick()
    },
    forget(connection) {
      lagging.delete(connection)
      for (const reader of connection.readers.values()) reader.room.leave(reader)
      for (const conversation of connection.readers.keys()) unbind(connection, conversation)
      connection.owed.clear()
    },
    get rooms() {
      return rooms.size
    },
    get lagging() {
      return lagging.size
    },
  }
}
