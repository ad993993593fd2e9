import type { CursorWriter } from '@parley/platform/cursor-writer/cursor-writer'
import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import type { Log } from '@parley/platform/ports/log'
import type { Log as Logger } from '@parley/platform/process/logs'
import { type Failure, failure } from '@parley/proto/errors'
import { channels, encodeConversationSignal, encodeUserNotice } from '@parley/proto/fan-out'
import { limits } from '@parley/proto/limits'
import { partitionOf } from '@parley/proto/partition'
import { topics } from '@parley/proto/record-headers'
import { type MembershipRow, outside, readMembership } from './membership.ts'
import type { ProjectedHeads } from './projected-heads.ts'
import type { ShownPositions } from './shown-positions.ts'

export interface ReadPositionsParts {
  cursors: Pick<CursorWriter, 'advance' | 'flushed'>
  log: Pick<Log, 'partitions' | 'range'>
  heads: Pick<ProjectedHeads, 'waitFor'>
  shown: Pick<ShownPositions, 'waitFor'>
  bus: Pick<Bus, 'publish'>
  database: Database
  logger: Pick<Logger, 'debug'>
}

/** Read positions written over REST: through the log, as a gateway writes them. */
export interface ReadPositions {
  /**
   * [G9] Moves a member's position forward to `seq`, or to the head where that is less; a position it has passed changes
   * nothing. Resolves once reads show it; within about 7 s with `unavailable`, which means that it may come to be kept
   * all the same, or `overloaded`; `not_found` to one outside. Rejects with `DatabaseUnavailable`.
   */
  advance(who: { user: string; conversation: string }, seq: number): Promise<Read>
}

type Read = { ok: true } | Failure

/** Where a partition of the events log ended. */
interface EventsEnd {
  partition: number
  next: number
}

/** From here on positions are not shown to others: each would cost as many deliveries as there are members. */
const shownToMembers = 100
const shownWithinMs = 5_000
const retryAfterMs = 1_000

const behind = failure('unavailable', 'the head is not known here yet', retryAfterMs)
const unknown = failure('unavailable', 'the position is not known to be kept yet', retryAfterMs)
const late = failure('unavailable', 'the position is kept, but not yet readable', retryAfterMs)
const full = failure('overloaded', 'too many positions wait', retryAfterMs)

export function createReadPositions(parts: ReadPositionsParts): ReadPositions {
  const { cursors, log, heads, shown, bus, database, logger } = parts

  function membership(user: string, conversation: string): Promise<MembershipRow | undefined> {
    return database.snapshot((sql) => readMembership(sql, user, conversation))
  }

  /**
   * Waits for a head that the user may have seen live. What doesn't come in time is beyond the head, but only when all
   * that stood in the log before is projected; else nobody here knows the head.
   */
  async function awaitHead(conversation: string, seq: number): Promise<Failure | undefined> {
    const end = await eventsEnd(conversation)
    if (end === undefined) return behind
    const reached = await heads.waitFor(conversation, seq, limits.syncWaitMs)
    if (reached.ok) return undefined
    if (reached.code === 'overloaded') return reached
    return (await isProjected(end)) ? undefined : behind
  }

  async function eventsEnd(conversation: string): Promise<EventsEnd | undefined> {
    const partition = partitionOf(conversation, log.partitions(topics.events))
    try {
      return { partition, next: (await log.range(topics.events, partition)).next }
    } catch (error) {
      logger.debug({ err: error, partition }, 'the end of the events log can not be read')
      return undefined
    }
  }

  async function isProjected({ partition, next }: EventsEnd): Promise<boolean> {
    const [row] = await database.snapshot((sql) =>
      sql.query<{ next_event: number }>(
        'select next_event from partition_checkpoints where partition = $1',
        [partition],
        'events-projected',
      ),
    )
    return (row?.next_event ?? 0) >= next
  }

  /** Shown and forgotten ([G10]): to the user's own devices, and to the others where they are few. */
  function show(user: string, { id, member_count }: MembershipRow, seq: number): void {
    const notice = encodeUserNotice({ type: 'read', conversation: id, seq })
    publish(channels.user(user), notice)
    if (member_count > shownToMembers) return
    publish(channels.conversation(id), encodeConversationSignal({ type: 'read', user, seq }))
  }

  function publish(channel: string, payload: Uint8Array): void {
    bus.publish(channel, payload).catch((error: unknown) => {
      logger.debug({ err: error, channel }, 'publish lost')
    })
  }

  return {
    async advance({ user, conversation }, seq) {
      let member = await membership(user, conversation)
      if (member === undefined) return outside
      if (seq > member.head) {
        const refused = await awaitHead(conversation, seq)
        if (refused !== undefined) return refused
        member = await membership(user, conversation)
        if (member === undefined) return outside
      }
      const { head } = member
      const position = { user, conversation, seq: Math.min(seq, head), head }
      if (position.seq <= member.read_seq) return { ok: true }
      const deadlineMs = performance.now() + shownWithinMs
      if (!cursors.advance(position)) return full
      if (!(await within(shownWithinMs, cursors.flushed(conversation)))) return unknown
      show(user, member, position.seq)
      const answers = { shown: { ok: true } as const, outside, late, full }
      return answers[await shown.waitFor(position, Math.max(0, deadlineMs - performance.now()))]
    },
  }
}

/** Whether it resolved in time. */
async function within(timeoutMs: number, work: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, false)
  })
  const done = work.then(
    () => true,
    () => false,
  )
  return Promise.race([done, late]).finally(() => clearTimeout(timer))
}
