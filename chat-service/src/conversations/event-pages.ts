import type { Database, Sql } from '@parley/platform/ports/database'
import type { Failure } from '@parley/proto/errors'
import { eventKindOf, type RawEvent } from '@parley/proto/event-frame'
import { limits } from '@parley/proto/limits'
import { outside, readMembership } from './membership.ts'

export interface EventPageRequest {
  user: string
  conversation: string
  /** Events with a greater seq are wanted. */
  after: number
  /** 1 to `limits.pageEntries`. */
  limit: number
}

export interface EventPage {
  ok: true
  /**
   * Ascending by seq, without a hole; their frames take less than `limits.pageBytes`. `formatEvent` makes the frame's
   * object of one, `writeEventFrame` its bytes.
   */
  events: RawEvent[]
  /** The conversation's head in the database. */
  head: number
  /** The first seq this member may see; nothing before it is in `events`. */
  from: number
  /** There are later events; never true without `events`. */
  more: boolean
}

/** What a frame takes besides its body, at most; and room for what stands around the page. */
const frameBytes = 112
const envelopeBytes = 1_024

/**
 * A page of a conversation's events, for REST and for `sync`. Membership and events are of one moment, so a member
 * removed meanwhile sees nothing of afterwards ([G6]). `not_found` to one outside. Rejects with `DatabaseUnavailable`.
 */
export function readEvents(
  database: Database,
  request: EventPageRequest,
): Promise<EventPage | Failure> {
  return database.snapshot(async (sql) => {
    const member = await readMembership(sql, request.user, request.conversation)
    if (member === undefined) return outside
    const { head, from_seq: from } = member
    const after = Math.max(request.after, from - 1)
    const events = after >= head ? [] : await readRows(sql, { ...request, after })
    const last = events.at(-1)?.seq ?? head
    return { ok: true, events, head, from, more: last < head }
  })
}

interface EventRow {
  conversation: Buffer
  seq: number
  id: Buffer
  kind: number
  sender: Buffer
  at: number
  body: Buffer | null
  target: Buffer | null
}

/** The sum is over sizes alone: bodies beyond the page are not read. */
async function readRows(sql: Sql, request: EventPageRequest): Promise<RawEvent[]> {
  const rows = await sql.query<EventRow>(
    `select uuid_send(conversation_id) as conversation, seq, uuid_send(id) as id, kind,
            uuid_send(sender) as sender, at, body, uuid_send(target) as target
     from (
       select *, sum(coalesce(octet_length(body), 1) + ${frameBytes}) over (order by seq) as bytes,
              row_number() over (order by seq) as place
       from (
         select conversation_id, seq, id, kind, sender, at, body, target from messages
         where conversation_id = $1 and seq > $2 order by seq limit $3
       ) page
     ) sized
     where bytes <= $4 or place = 1
     order by seq`,
    [request.conversation, request.after, request.limit, limits.pageBytes - envelopeBytes],
    'event-page',
  )
  return rows.map((row) => ({ ...row, kind: eventKindOf(row.kind) }))
}
