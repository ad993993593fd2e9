import type { Log as Logger } from '@parley/platform/process/logs'
import type { ConversationNotice } from '@parley/proto/frames'
import { answer, type Connection } from './connection.ts'
import type { Directory } from './directory.ts'
import type { FanOut, HeldRoom } from './fan-out.ts'
import type { Reader } from './reader.ts'
import { settledWithin } from './settled-within.ts'

/** `conversation` frames, with the conversation as the directory shows it to that member. */
export interface ConversationNotices {
  /** The reader's user was added by event `seq`: its connection is told, and only then the reader gets anything. */
  added(reader: Reader<Connection>, seq: number): void
  /** The same to a connection that does not follow the conversation. */
  addedUnfollowed(connection: Connection, conversation: string, seq: number): void
  /** Event `seq` changed what the reader's user sees of the conversation: its role. */
  changed(reader: Reader<Connection>, seq: number): void
  /** Event `seq` changed the title, for all readers. */
  retitled(held: HeldRoom, seq: number): void
}

/** Beyond so many readers here `updated` comes without `info`: the event itself has the title. */
const maxToldInfo = 100

export function createConversationNotices(parts: {
  directory: Pick<Directory, 'info'>
  fanOut: Pick<FanOut, 'show'>
  logger: Pick<Logger, 'error'>
  /** How long a frame waits for its `info`; then it goes without. */
  waitMs: number
}): ConversationNotices {
  const asked = new Map<string, Promise<Pick<ConversationNotice, 'info'>>>()

  async function ask(user: string, conversation: string, seq: number) {
    const asking = parts.directory.info(user, conversation, seq)
    const answered = await settledWithin(asking, parts.waitMs)
    return answered?.ok ? { info: answered.info } : {}
  }

  /** Several connections of one user ask the same at once. */
  function infoFor(user: string, conversation: string, seq: number) {
    const key = `${user}${conversation}${seq}`
    let asking = asked.get(key)
    if (asking === undefined) {
      asking = ask(user, conversation, seq).finally(() => asked.delete(key))
      asked.set(key, asking)
    }
    return asking
  }

  /** An invariant of ours failed for one connection: it is closed, and comes again. */
  function guarded({ session }: Connection, work: Promise<void>): void {
    work.catch((error: unknown) => {
      parts.logger.error({ err: error }, 'a connection could not be told of its conversation')
      session.failed()
    })
  }

  async function introduce(reader: Reader<Connection>, seq: number): Promise<void> {
    const { connection, room, user } = reader
    const { conversation } = room
    const info = await infoFor(user, conversation, seq)
    // Removed before it was told of: then there is nothing to tell.
    if (!connection.open || reader.state === 'gone') return
    answer(connection, { type: 'conversation', change: 'added', conversation, ...info })
    room.introduce(reader)
  }

  async function update(reader: Reader<Connection>, seq: number): Promise<void> {
    if (seq <= reader.updated) return
    reader.updated = seq
    const { connection, room, user } = reader
    const { conversation } = room
    const info = await infoFor(user, conversation, seq)
    const superseded = reader.updated !== seq
    if (superseded || !connection.open || reader.state === 'gone' || !reader.introduced) return
    answer(connection, { type: 'conversation', change: 'updated', conversation, ...info })
  }

  async function tellUnfollowed(connection: Connection, conversation: string, seq: number) {
    const info = await infoFor(connection.user as string, conversation, seq)
    if (!connection.open) return
    answer(connection, { type: 'conversation', change: 'added', conversation, ...info })
  }

  return {
    added: (reader, seq) => guarded(reader.connection, introduce(reader, seq)),
    addedUnfollowed: (connection, conversation, seq) =>
      guarded(connection, tellUnfollowed(connection, conversation, seq)),
    changed: (reader, seq) => guarded(reader.connection, update(reader, seq)),
    retitled(held, seq) {
      const { readers, conversation } = held.room
      if (readers.size > maxToldInfo) {
        parts.fanOut.show(held, { type: 'conversation', change: 'updated', conversation })
        return
      }
      for (const reader of readers) {
        // Who is held may be outside by now, and finds the change in the events it missed.
        if (reader.state === 'held' || !reader.introduced) continue
        guarded(reader.connection, update(reader, seq))
      }
    },
  }
}
