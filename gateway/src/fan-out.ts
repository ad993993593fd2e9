import type { Bus } from '@parley/platform/ports/bus'
import type { Log as Logger } from '@parley/platform/process/logs'
import { channels, decodeConversationPublish } from '@parley/proto/fan-out'
import { limits } from '@parley/proto/limits'
import { type Channel, openChannel } from './channel.ts'
import { chunkOf, RunChunks } from './chunks.ts'
import { answer, type Connection } from './connection.ts'
import type { Flusher } from './flusher.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { Chunk } from './outbound.ts'
import type { Reader, RoomSink, Run } from './reader.ts'
import { Room } from './rooms.ts'

/** A room with its subscription, kept while somebody holds it. */
export interface HeldRoom {
  readonly room: Room<Connection>
  readonly channel: Channel
  holds: number
  /** Publishes that came since the last flush. */
  inbox: Run[]
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

/** From the bus to connections: one subscription a conversation, one chunk a codec, one flush a turn of the loop. */
export interface FanOut {
  /** Makes or keeps the room; `head` is what the directory says. To be given back by `release`. */
  hold(conversation: string, head: number): HeldRoom
  release(held: HeldRoom): void
  find(conversation: string): HeldRoom | undefined
  /** Work for the next flush, after the events that came before it. */
  afterEvents(work: () => void): void
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
    removed({ connection, room: { conversation } }) {
      answer(connection, { type: 'conversation', change: 'removed', conversation })
      unbind(connection, conversation)
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
  }

  function hold(conversation: string, head: number): HeldRoom {
    let held = rooms.get(conversation)
    if (held === undefined) {
      const room = new Room<Connection>(conversation, head, sink)
      const channel = openChannel({
        bus,
        name: channels.conversation(conversation),
        handler: (payload) => take(conversation, payload),
        onLate: parts.onLate,
      })
      held = { room, channel, holds: 0, inbox: [] }
      rooms.set(conversation, held)
    }
    held.holds += 1
    return held
  }

  function take(conversation: string, payload: Uint8Array): void {
    const held = rooms.get(conversation)
    if (held === undefined) return
    try {
      const { firstSeq, frames, removed } = decodeConversationPublish(payload)
      held.inbox.push({ first: firstSeq, frames, removed })
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
      const runs = merged(held.inbox)
      held.inbox = []
      for (const run of runs) held.room.publish(run)
    }
    const due = works
    works = []
    for (const work of due) work()
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
    hold,
    release,
    find: (conversation) => rooms.get(conversation),
    afterEvents(work) {
      works.push(work)
      flusher.schedule()
    },
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

/** Publishes that follow each other, as one. */
function merged(inbox: readonly Run[]): Run[] {
  const runs: Run[] = []
  let open: { first: number; frames: Uint8Array[]; removed: Run['removed'][number][] } | null = null
  for (const run of inbox) {
    if (open !== null && run.frames.length > 0 && run.first === open.first + open.frames.length) {
      open.frames.push(...run.frames)
      open.removed.push(...run.removed)
      continue
    }
    const copy = { first: run.first, frames: [...run.frames], removed: [...run.removed] }
    runs.push(copy)
    open = run.frames.length > 0 ? copy : null
  }
  return runs
}

function announceHeads(
  rooms: Iterable<HeldRoom>,
  offer: (connection: Connection, chunk: Chunk) => boolean,
): void {
  const byConnection = new Map<Connection, [Reader<Connection>, number][]>()
  for (const { room } of rooms) {
    if (!room.active) continue
    room.active = false
    for (const reader of room.readers) {
      // Who is held or owed something is told by a gap.
      if (reader.state !== 'live' || reader.owed) continue
      const heads = byConnection.get(reader.connection)
      if (heads === undefined) byConnection.set(reader.connection, [[reader, reader.next - 1]])
      else heads.push([reader, reader.next - 1])
    }
  }
  for (const [connection, all] of byConnection) {
    const { codec } = connection.out
    for (let i = 0; i < all.length; i += limits.headsConversations) {
      const part = all.slice(i, i + limits.headsConversations)
      const heads = Object.fromEntries(part.map(([r, head]) => [r.room.conversation, head]))
      const frame = codec.encodeServerFrame({ type: 'heads', heads })
      // Not owed: a reader whose link is full knows everything that it was sent.
      if (!offer(connection, chunkOf(codec, [frame]))) break
    }
  }
}
