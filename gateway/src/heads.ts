import { limits } from '@parley/proto/limits'
import { chunkOf } from './chunks.ts'
import type { Connection } from './connection.ts'
import type { Chunk } from './outbound.ts'
import type { Reader } from './reader.ts'
import type { Room } from './rooms.ts'

/** Tells readers the heads of rooms that were active since the last call, one frame a connection. */
export function announceHeads(
  rooms: Iterable<{ readonly room: Room<Connection> }>,
  offer: (connection: Connection, chunk: Chunk) => boolean,
): void {
  const byConnection = new Map<Connection, Reader<Connection>[]>()
  for (const { room } of rooms) {
    if (!room.active) continue
    room.active = false
    for (const reader of room.readers) {
      // Who is held or owed something is told by a gap.
      if (reader.state !== 'live' || reader.owed) continue
      const readers = byConnection.get(reader.connection)
      if (readers === undefined) byConnection.set(reader.connection, [reader])
      else readers.push(reader)
    }
  }
  for (const [connection, readers] of byConnection) {
    const { codec } = connection.out
    for (let i = 0; i < readers.length; i += limits.headsConversations) {
      const part = readers.slice(i, i + limits.headsConversations)
      const heads = Object.fromEntries(part.map((r) => [r.room.conversation, r.next - 1]))
      const frame = codec.encodeServerFrame({ type: 'heads', heads })
      // Not owed: a reader whose link is full knows everything that it was sent.
      if (!offer(connection, chunkOf(codec, [frame]))) break
    }
  }
}
