import type { Database, Sql } from '@parley/platform/ports/database'
import type { Failure } from '@parley/proto/errors'
import { eventKindCodes } from '@parley/proto/event-frame'
import type { MessageBody } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { unpack } from '@parley/proto/pack'
import type { Message, Reaction } from '@parley/proto/rest'
import { outside, readMembership } from './membership.ts'
import { readReactions } from './reactions.ts'

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
  messages: Message[]
  /** There are earlier ones this member may see; never true without `messages`. */
  more: boolean
}

/** A message's row as its present state: the body is that of its last edit. */
export interface MessageRow {
  id: string
  seq: number
  sender: string
  at: number
  edited_at: number | null
  deleted: boolean
  body: Buffer | null
}

/** Rejects with `DatabaseUnavailable`; `not_found` to one outside. */
export function readMessages(
  database: Database,
  request: MessagePageRequest,
): Promise<MessagePage | Failure> {
  const { user, conversation } = request
  return database.snapshot(async (sql) => {
    const member = await readMembership(sql, user, conversation)
    if (member === undefined) return outside
    const before = Math.min(request.before ?? Number.MAX_SAFE_INTEGER, member.head + 1)
    const found = await readRows(sql, { ...request, from: member.from_seq, before })
    const rows = found.filter((row) => row.fits)
    const places = rows.map(({ seq }) => ({ conversation, seq }))
    const reactions = await readReactions(sql, user, places)
    const messages = rows.map((row, i) => messageView(row, reactions[i] ?? []))
    return { ok: true, messages, more: rows.length < found.length }
  })
}

interface Range {
  conversation: string
  from: number
  before: number
  limit: number
}

/**
 * One range of the index of messages, so edits and reactions between them cost nothing. One more than asked tells
 * whether there are more; the sum is over sizes, bodies beyond it are not read.
 */
function readRows(sql: Sql, range: Range): Promise<(MessageRow & { fits: boolean })[]> {
  return sql.query(
    `select id, seq, sender, at, edited_at, deleted, case when fits then body end as body, fits
     from (
       select *, sum(coalesce(octet_length(body), 0)) over (order by seq desc) <= $5
                 and row_number() over (order by seq desc) <= $4 - 1
                 or row_number() over (order by seq desc) = 1 as fits
       from (
         select id, seq, sender, at, edited_at, deleted_seq is not null as deleted,
                coalesce(present_body, body) as body
         from messages
         where conversation_id = $1 and seq >= $2 and seq < $3 and kind = ${eventKindCodes.message}
         order by seq desc limit $4
       ) page
     ) sized
     order by seq desc`,
    [range.conversation, range.from, range.before, range.limit + 1, limits.pageBytes],
    'message-page',
  )
}

/** What is deleted shows its place and its sender, and nothing else. */
export function messageView(row: MessageRow, reactions: Reaction[]): Message {
  const { id, seq, sender, at } = row
  if (row.deleted) return { id, seq, sender, at, deleted: true, reactions: [] }
  if (row.body === null) throw new Error(`message ${id} has no body and is not deleted`)
  const message: Message = { id, seq, sender, at, body: unpack(row.body) as MessageBody, reactions }
  if (row.edited_at !== null) message.editedAt = row.edited_at
  return message
}
