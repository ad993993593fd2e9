import type { Database } from '@parley/platform/ports/database'

export interface ShownPositionsOptions {
  database: Database
  /** How often the database is asked while someone waits. */
  pollMs?: number
  /** Calls that may wait at once. */
  maxWaiters?: number
}

/** What became of the wait: `outside` when the user is no member any more, `full` when too many wait already. */
export type Shown = 'shown' | 'outside' | 'late' | 'full'

/** Tells when reads show a read position that is known to stand in the log. */
export interface ShownPositions {
  waitFor(
    wanted: { user: string; conversation: string; seq: number },
    timeoutMs: number,
  ): Promise<Shown>
  /** Answers all who wait with `late`. */
  close(): void
}

interface Waiter {
  user: string
  conversation: string
  seq: number
  settle(shown: Shown): void
}

interface Row {
  place: number
  /** Null outside. */
  read_seq: number | null
}

const positionsSql = `
  select q.place, m.read_seq
  from unnest($1::uuid[], $2::uuid[]) with ordinality as q (conversation_id, user_id, place)
  left join members m on m.conversation_id = q.conversation_id and m.user_id = q.user_id`

export function createShownPositions(options: ShownPositionsOptions): ShownPositions {
  const { database, pollMs = 20, maxWaiters = 10_000 } = options
  const waiting = new Set<Waiter>()
  let timer: NodeJS.Timeout | undefined
  let asking = false
  let closed = false

  /** One query for all who wait, and one at a time. */
  async function ask(): Promise<void> {
    if (asking) return
    asking = true
    const asked = [...waiting]
    try {
      const columns = [asked.map((w) => w.conversation), asked.map((w) => w.user)]
      const rows = await database.snapshot((sql) =>
        sql.query<Row>(positionsSql, columns, 'shown-positions'),
      )
      for (const { place, read_seq } of rows) {
        const waiter = asked[place - 1]
        if (read_seq === null) waiter?.settle('outside')
        else if (waiter !== undefined && read_seq >= waiter.seq) waiter.settle('shown')
      }
    } catch {
      /* The database is away: those who wait are answered in time all the same. */
    }
    asking = false
  }

  return {
    waitFor({ user, conversation, seq }, timeoutMs) {
      if (closed) return Promise.resolve('late')
      if (waiting.size >= maxWaiters) return Promise.resolve('full')
      return new Promise((resolve) => {
        const waiter: Waiter = {
          ...{ user, conversation, seq },
          settle(shown) {
            clearTimeout(deadline)
            waiting.delete(waiter)
            if (waiting.size === 0) {
              clearInterval(timer)
              timer = undefined
            }
            resolve(shown)
          },
        }
        const deadline = setTimeout(() => waiter.settle('late'), timeoutMs)
        waiting.add(waiter)
        timer ??= setInterval(() => void ask(), pollMs)
      })
    },
    close() {
      closed = true
      for (const waiter of [...waiting]) waiter.settle('late')
    },
  }
}
