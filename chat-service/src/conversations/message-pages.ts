import type { Database } from '@parley/platform/ports/database'
import type { Failure } from '@parley/proto/errors'
import { eventKindCodes } from '@parley/proto/event-frame'
import type { MessageBody } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { unpack } from '@parley/proto/pack'
import { outside, readMembership } from './membership.ts'

/** A message in its present state, as REST shows it. */
export interface MessageView {
  id: string
  seq: number
  sender: string
  /** Milliseconds since 1970. */
  at: number
  /** Absent once deleted. */
  body?: MessageBody
  editedAt?: number
  deleted?: true
  reactions: { emoji: string; count: number; mine: boolean }[]
}

export interface MessagePageRequest {
  user: string
  conversation: string
  /** Messages with a smaller seq are wanted; absent for the latest. */
  before?: number
  /** 1 to `limits.pageEntries`. */
  limit: number
}

export interface MessagePage {
  ok: true
  /** Newest first; only events of kind `message`. */
  messages: MessageView[]
  /** There are earlier ones this member may see; never true without `messages`. */
  more: boolean
}

export interface MessageRow {
  id: string
  seq: number
  sender: string
  at: number
  body: Buffer | null
}

/** Rejects with `DatabaseUnavailable`; `not_found` to one outside. */
export function readMessages(
  database: Database,
  request: MessagePageRequest,
): Promise<MessagePage | Failure> {
  return database.snapshot(async (sql) => {
    const member = await readMembership(sql, request.user, request.conversation)
    if (member === undefined) return outside
    /* One more than asked tells whether there are more; the sum is over sizes, bodies beyond it are not read. */
    const rows = await sql.query<MessageRow & { fits: boolean }>(
      `select id, seq, sender, at, case when fits then body end as body, fits
       from (
         select *, sum(coalesce(octet_length(body), 0)) over (order by seq desc) <= $6
                   and row_number() over (order by seq desc) <= $5 - 1
                   or row_number() over (order by seq desc) = 1 as fits
         from (
           select id, seq, sender, at, body from messages
           where conversation_id = $1 and seq >= $2 and seq < $3 and kind = $4
           order by seq desc limit $5
         ) page
       ) sized
       order by seq desc`,
      [
        request.conversation,
        member.from_seq,
        Math.min(request.before ?? Number.MAX_SAFE_INTEGER, member.head + 1),
        eventKindCodes.message,
        request.limit + 1,
        limits.pageBytes,
      ],
      'message-page',
    )
    const messages = rows.filter((row) => row.fits).map(messageView)
    return { ok: true, messages, more: messages.length < rows.length }
  })
}

export function messageView(row: MessageRow): MessageView {
  const { id, seq, sender, at } = row
  return row.body === null
    ? { id, seq, sender, at, deleted: true, reactions: [] }
    : { id, seq, sender, at, body: unpack(row.body) as MessageBody, reactions: [] }
}
