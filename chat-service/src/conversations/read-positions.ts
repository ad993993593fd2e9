import type { CursorWriter } from '@parley/platform/cursor-writer/cursor-writer'
import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import type { Log as Logger } from '@parley/platform/process/logs'
import { type Failure, failure } from '@parley/proto/errors'
import { channels, encodeConversationSignal, encodeUserNotice } from '@parley/proto/fan-out'
import { limits } from '@parley/proto/limits'
import { type MembershipRow, outside, readMembership } from './membership.ts'
import type { ProjectedHeads } from './projected-heads.ts'
import type { ShownPositions } from './shown-positions.ts'

export interface ReadPositionsParts {
  cursors: Pick<CursorWriter, 'advance' | 'flushed'>
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

/** From here on positions are not shown to others: each would cost as many deliveries as there are members. */
const shownToMembers = 100
const shownWithinMs = 5_000
const retryAfterMs = 1_000

const unknown = failure('unavailable', 'the position is not known to be kept yet', retryAfterMs)
const late = failure('unavailable', 'the position is kept, but not yet readable', retryAfterMs)
const full = failure('overloaded', 'too many positions wait', retryAfterMs)

export function createReadPositions(parts: ReadPositionsParts): ReadPositions {
  const { cursors, heads, shown, bus, database, logger } = parts

  function membership(user: string, conversation: string): Promise<MembershipRow | undefined> {
    return database.snapshot((sql) => readMembership(sql, user, conversation))
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
        // What the user has seen live may not be projected yet; what doesn't come in time is beyond the head.
        const reached = await heads.waitFor(conversation, seq, limits.syncWaitMs)
        if (!reached.ok && reached.code === 'overloaded') return reached
        member = await membership(user, conversation)
        if (member === undefined) return outside
      }
      const position = { user, conversation, seq: Math.min(seq, member.head) }
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
