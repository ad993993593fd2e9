import type { Database } from '@parley/platform/ports/database'
import { eventKindCodes } from '@parley/proto/event-frame'
import type { ConversationKind, Role } from '@parley/proto/frames'
import { isId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { type MessageView, messageView } from './message-pages.ts'

/** A conversation in one's list. */
export interface ConversationEntry {
  id: string
  kind: ConversationKind
  title?: string
  head: number
  /** The first seq this member may see. */
  from: number
  /** How far this member has read. */
  read: number
  /** Messages by others after `read`, not deleted; `maxUnread` stands for that many or more. */
  unread: number
  role: Role
  /** The latest message this member may see. */
  lastMessage?: MessageView
}

/** What has happened last stands first; `last_at` and id together name a place between two conversations. */
export interface ListPlace {
  lastAt: number
  id: string
}

export interface ListPage {
  conversations: { entry: ConversationEntry; place: ListPlace }[]
  more: boolean
}

/** Rows that counting the unread of one conversation may read. */
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
  message_id: string | null
  message_seq: number
  message_sender: string
  message_at: number
  message_body: Buffer | null
  fits: boolean
}

/** Laterals run for the conversations of the page alone; bodies beyond `$6` bytes are not read. */
const listSql = `
  select id, kind, title, head, last_at, from_seq, read_seq, role, unread, message_id, message_seq, message_sender,
         message_at, case when fits then message_body end as message_body, fits
  from (
    select page.*, unread.unread, message.*,
           sum(coalesce(octet_length(message_body), 0)) over (order by last_at desc, id desc) <= $6
           or row_number() over (order by last_at desc, id desc) = 1 as fits
    from (
      select c.id, c.kind, c.title, c.head, c.last_at, m.from_seq, m.read_seq, m.role
      from members m join conversations c on c.id = m.conversation_id
      where m.user_id = $1 and ($2::int8 is null or (c.last_at, c.id) < ($2::int8, $3::uuid))
      order by c.last_at desc, c.id desc limit $4
    ) page
    cross join lateral (
      select count(*)::int as unread from (
        select from messages e
        where e.conversation_id = page.id and e.seq >= greatest(page.from_seq, page.read_seq + 1)
          and e.kind = $5 and e.sender <> $1 and e.body is not null
        limit ${maxUnread}
      ) counted
    ) unread
    left join lateral (
      select e.id as message_id, e.seq as message_seq, e.sender as message_sender, e.at as message_at,
             e.body as message_body
      from messages e
      where e.conversation_id = page.id and e.seq >= page.from_seq and e.kind = $5
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
  const rows = await database.snapshot((sql) =>
    sql.query<ListRow>(
      listSql,
      [
        user,
        after?.lastAt ?? null,
        after?.id ?? null,
        limit + 1,
        eventKindCodes.message,
        limits.pageBytes,
      ],
      'conversation-list',
    ),
  )
  const shown = rows.slice(0, limit).filter((row) => row.fits)
  return {
    conversations: shown.map((row) => ({
      entry: entryOf(row),
      place: { lastAt: row.last_at, id: row.id },
    })),
    more: shown.length < rows.length,
  }
}

function entryOf(row: ListRow): ConversationEntry {
  const entry: ConversationEntry = {
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
    entry.lastMessage = messageView({
      id: row.message_id,
      seq: row.message_seq,
      sender: row.message_sender,
      at: row.message_at,
      body: row.message_body,
    })
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
