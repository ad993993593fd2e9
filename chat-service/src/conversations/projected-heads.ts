import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import { type Failure, failure } from '@parley/proto/errors'
import { channels, decodeProjected } from '@parley/proto/fan-out'

export interface ProjectedHeadsOptions {
  bus: Bus
  database: Database
  /** Of the `commands` topic: storage-worker tells heads by partition. */
  partitions: number
  /** Calls that may wait at once; one more is `overloaded`. */
  maxWaiters?: number
  /** How often the database is asked while someone waits, for notices that got lost. */
  recheckMs?: number
}

/** Tells when the database holds an event that is known to stand in the log. */
export interface ProjectedHeads {
  /**
   * Resolves once the conversation's head in the database is `seq` or more; after `timeoutMs` with `unavailable`, and
   * with `overloaded` when too many wait.
   */
  waitFor(conversation: string, seq: number, timeoutMs: number): Promise<{ ok: true } | Failure>
  /** Answers all who wait with `unavailable`. */
  close(): Promise<void>
}

interface Waiter {
  seq: number
  settle: (result: { ok: true } | Failure) => void
}

const late = failure('unavailable', 'accepted, but not yet readable; ask again', 1_000)

/** Resolves when it hears the notices of every partition. */
export async function createProjectedHeads(
  options: ProjectedHeadsOptions,
): Promise<ProjectedHeads> {
  const { bus, database, maxWaiters = 10_000, recheckMs = 250 } = options
  const waiting = new Map<string, Set<Waiter>>()
  let waiters = 0
  let timer: NodeJS.Timeout | undefined
  let asking = false
  let askAgain = false
  let closed = false

  function reached(conversation: string, head: number): void {
    for (const waiter of waiting.get(conversation) ?? []) {
      if (waiter.seq <= head) waiter.settle({ ok: true })
    }
  }

  /* One query for all who wait, and one at a time; who comes meanwhile is in the next. */
  async function ask(): Promise<void> {
    if (asking) {
      askAgain = true
      return
    }
    asking = true
    do {
      askAgain = false
      try {
        const ids = [...waiting.keys()]
        const rows = await database.snapshot((sql) =>
          sql.query<{ id: string; head: number }>(
            'select id, head from conversations where id = any($1::uuid[])',
            [ids],
            'projected-heads',
          ),
        )
        for (const { id, head } of rows) reached(id, head)
      } catch {
        /* The database is away: those who wait are answered in time all the same. */
      }
    } while (askAgain && waiting.size > 0)
    asking = false
  }

  function askWhileWaited(): void {
    timer ??= setInterval(() => void ask(), recheckMs)
    void ask()
  }

  const onProjected = (payload: Uint8Array) => {
    for (const [conversation, head] of decodeProjected(payload)) reached(conversation, head)
  }
  const heard = Array.from({ length: options.partitions }, (_, p) => channels.projected(p))
  await Promise.all(heard.map((channel) => bus.subscribe(channel, onProjected)))
  bus.onInterruption(() => {
    if (waiting.size > 0) void ask()
  })

  return {
    waitFor(conversation, seq, timeoutMs) {
      if (closed) return Promise.resolve(late)
      if (waiters >= maxWaiters) {
        return Promise.resolve(failure('overloaded', 'too many wait for the database', 1_000))
      }
      return new Promise((resolve) => {
        const set = waiting.get(conversation) ?? new Set()
        const waiter: Waiter = {
          seq,
          settle(result) {
            clearTimeout(deadline)
            waiters -= 1
            set.delete(waiter)
            if (set.size === 0) waiting.delete(conversation)
            if (waiting.size === 0) {
              clearInterval(timer)
              timer = undefined
            }
            resolve(result)
          },
        }
        const deadline = setTimeout(() => waiter.settle(late), timeoutMs)
        waiters += 1
        set.add(waiter)
        waiting.set(conversation, set)
        askWhileWaited()
      })
    },
    async close() {
      closed = true
      for (const set of [...waiting.values()]) {
        for (const waiter of [...set]) waiter.settle(late)
      }
      await Promise.all(heard.map((channel) => bus.unsubscribe(channel, onProjected)))
    },
  }
}
