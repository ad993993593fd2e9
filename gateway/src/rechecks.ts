import type { Log as Logger } from '@parley/platform/process/logs'
import type { Connection } from './connection.ts'
import type { Directory } from './directory.ts'
import type { Reader } from './reader.ts'

/**
 * Asks the directory for readers that are held, and again until its answer suffices: at once, then after `firstMs`,
 * doubled up to `longestMs`. At most one question a reader is open.
 */
export interface Rechecks {
  ask(reader: Reader<Connection>, knownHead: number, again: boolean): void
  /** Asks what has become due; to be called every 100 ms or so. */
  tick(now: number): void
}

const firstMs = 100
const longestMs = 2_000

interface Waiting {
  knownHead: number
  due: number
}

export function createRechecks(
  directory: Pick<Directory, 'membership'>,
  logger: Pick<Logger, 'error'>,
  now: () => number,
): Rechecks {
  const waiting = new Map<Reader<Connection>, Waiting>()
  const waitMs = new WeakMap<Reader<Connection>, number>()

  async function check(reader: Reader<Connection>, knownHead: number): Promise<void> {
    const { room, user, connection } = reader
    try {
      room.checked(reader, await directory.membership(user, room.conversation, knownHead))
    } catch (error) {
      logger.error({ err: error }, 'a reader could not be checked')
      connection.session.failed()
    }
  }

  return {
    ask(reader, knownHead, again) {
      if (!again) {
        waitMs.delete(reader)
        waiting.delete(reader)
        void check(reader, knownHead)
        return
      }
      const wait = waitMs.get(reader) ?? firstMs
      waitMs.set(reader, Math.min(wait * 2, longestMs))
      waiting.set(reader, { knownHead, due: now() + wait })
    },
    tick(at) {
      for (const [reader, { knownHead, due }] of waiting) {
        if (due > at) continue
        waiting.delete(reader)
        if (reader.state === 'held') void check(reader, knownHead)
      }
    },
  }
}
