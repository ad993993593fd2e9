import { type Failure, failure } from '@parley/proto/errors'
import type { Connection } from './connection.ts'
import type { Directory } from './directory.ts'
import type { Reader } from './reader.ts'

/** Whether a connection's user may act in a conversation, for what does not pass its sequencer ([G6]). */
export interface Places {
  /** The connection's reader there while its membership is not in doubt; null: the directory must be asked. */
  followed(connection: Connection, conversation: string): Reader<Connection> | null
  /** `not_found` to who is outside, `unavailable`, and `too_many_inflight` when this connection asks too much. */
  asked(
    connection: Connection,
    conversation: string,
  ): Promise<{ ok: true; head: number; memberCount: number } | Failure>
}

const asksAtOnce = 8

export function createPlaces(directory: Pick<Directory, 'membership'>): Places {
  const asking = new WeakMap<Connection, number>()

  return {
    followed(connection, conversation) {
      const reader = connection.readers.get(conversation)
      return reader === undefined || reader.state === 'held' ? null : reader
    },
    async asked(connection, conversation) {
      const count = asking.get(connection) ?? 0
      if (count >= asksAtOnce) {
        return failure('too_many_inflight', 'too much of this connection is being looked up', 1_000)
      }
      asking.set(connection, count + 1)
      // A reader in doubt may have been removed by an event up to its room's head.
      const knownHead = connection.readers.get(conversation)?.room.head ?? 0
      const user = connection.user as string
      const answer = await directory.membership(user, conversation, knownHead)
      asking.set(connection, (asking.get(connection) ?? 1) - 1)
      if (answer === 'unavailable') {
        return failure('unavailable', 'the directory is away', 1_000)
      }
      if (!answer.inside) return failure('not_found', 'there is no such conversation')
      return { ok: true, head: answer.head, memberCount: answer.memberCount }
    },
  }
}
