import type { Database } from '@parley/platform/ports/database'
import { eventKindCodes } from '@parley/proto/event-frame'
import type { ConversationKind, Role } from '@parley/proto/frames'
import { isId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import type { ConversationSummary, Reaction } from '@parley/proto/rest'
import { messageView } from './message-pages.ts'
import { readReactions } from './reactions.ts'

/** What has happened last stands first; `last_at` and id together name a place between two conversations. */
export interface ListPlace {
  lastAt: number
  id: string
}

export interface ListPage {
  conversations: { entry: ConversationSummary; place: ListPlace }[]
  more: boolean
}

/** Unread messages of one conversation are counted up to this number, which stands for itself or more. */
export const maxUnread = 10_000

interface ListRow {
  id: string
  kind: ConversationKind
  title: string | null
  head: number
  last_at: number
  from_seq: number
  read_seq: number
  role: Role
  unread: number
  /** Absent where there is no message yet. */
  message_id: string | null
  message_seq: number
  message_sender: string
  message_at: number
  message_edited_at: number | null
  message_deleted: boolean
  message_body: Buffer | null
  fits: boolean
}

/**
 * Laterals run for the conversations of the page alone, each over one range of the index of messages; bodies beyond `$5`
 * bytes are not read. Unread are messages by others, not deleted, after what was read and from `from` on.
 */
const listSql = `
  select id, kind, title, head, last_at, from_seq, read_seq, role, unread, message_id, message_seq, message_sender,
         message_at, message_edited_at, message_deleted, case when fits then message_body end as message_body, fits
  from (
    select page.*, unread.unread, message.*,
           sum(coalesce(octet_length(message_body), 0)) over (order by last_at desc, id desc) <= $5
           or row_number() over (order by last_at desc, id desc) = 1 as fits
    from (
      select c.id, c.kind, c.title, c.head, c.last_at, m.from_seq, least(m.read_seq, c.head) as read_seq, m.role
      from members m join conversations c on c.id = m.conversation_id
      where m.user_id = $1 and ($2::int8 is null or (c.last_at, c.id) < ($2::int8, $3::uuid))
      order by c.last_at desc, c.id desc limit $4
    ) page
    cross join lateral (
      select count(*)::int as unread from (
        select from messages e
        where e.conversation_id = page.id and e.seq >= greatest(page.from_seq, page.read_seq + 1)
          and e.kind = ${eventKindCodes.message} and e.sender <> $1 and e.deleted_seq is null
        limit ${maxUnread}
      ) counted
    ) unread
    left join lateral (
      select e.id as message_id, e.seq as message_seq, e.sender as message_sender, e.at as message_at,
             e.edited_at as message_edited_at, e.deleted_seq is not null as message_deleted,
             coalesce(e.present_body, e.body) as message_body
      from messages e
      where e.conversation_id = page.id and e.seq >= page.from_seq and e.kind = ${eventKindCodes.message}
      order by e.seq desc limit 1
    ) message on true
  ) sized
  order by last_at desc, id desc`

/**
 * A user's conversations, the latest event first, beginning after `after`. One that gets a new event meanwhile moves to
 * the front, where the next first page has it; none comes twice. Rejects with `DatabaseUnavailable`.
 */
export async function listConversations(
  database: Database,
  request: { user: string; limit: number; after?: ListPlace },
): Promise<ListPage> {
  const { user, limit, after } = request
  return database.snapshot(async (sql) => {
    const rows = await sql.query<ListRow>(
      listSql,
      [user, after?.lastAt ?? null, after?.id ?? null, limit + 1, limits.pageBytes],
      'conversation-list',
    )
    const shown = rows.slice(0, limit).filter((row) => row.fits)
    const places = shown.map(({ id, message_seq }) => ({ conversation: id, seq: message_seq }))
    const reactions = await readReactions(sql, user, places)
    return {
      conversations: shown.map((row, i) => ({
        entry: entryOf(row, reactions[i] ?? []),
        place: { lastAt: row.last_at, id: row.id },
      })),
      more: shown.length < rows.length,
    }
  })
}

function entryOf(row: ListRow, reactions: Reaction[]): ConversationSummary {
  const entry: ConversationSummary = {
    id: row.id,
    kind: row.kind,
    head: row.head,
    from: row.from_seq,
    read: row.read_seq,
    unread: row.unread,
    role: row.role,
  }
  if (row.title !== null) entry.title = row.title
  if (row.message_id !== null) {
    const message = {
      id: row.message_id,
      seq: row.message_seq,
      sender: row.message_sender,
      at: row.message_at,
      edited_at: row.message_edited_at,
      deleted: row.message_deleted,
      body: row.message_body,
    }
    entry.lastMessage = messageView(message, reactions)
  }
  return entry
}

export function formatPlace({ lastAt, id }: ListPlace): string {
  return Buffer.from(`${lastAt}.${id}`).toString('base64url')
}

/** Undefined when the text is no cursor of ours. */
export function parsePlace(cursor: string): ListPlace | undefined {
  const [lastAt = '', id] = Buffer.from(cursor, 'base64url').toString('latin1').split('.')
  const time = Number(lastAt)
  if (!/^\d{1,16}$/.test(lastAt) || !Number.isSafeInteger(time) || !isId(id)) return undefined
  return { lastAt: time, id }
}
