import type { Sql } from '@parley/platform/ports/database'
import type { Reaction } from '@parley/proto/rest'

/** Emojis of one message that are shown, the oldest first: a message may have gathered any number. */
export const maxEmojis = 50

export interface MessagePlace {
  conversation: string
  seq: number
}

interface Row {
  place: number
  emoji: Buffer
  count: number
  mine: boolean
}

/**
 * What stands of reactions to each of the messages, in their order, and whether `user` is among those who reacted. An
 * emoji stands before another when the oldest of its reactions does. One query for all of them.
 */
export async function readReactions(
  sql: Sql,
  user: string,
  messages: readonly MessagePlace[],
): Promise<Reaction[][]> {
  const reactions: Reaction[][] = messages.map(() => [])
  if (messages.length === 0) return reactions
  const rows = await sql.query<Row>(
    `select m.place, t.emoji, t.count, exists (
         select from reactions r
         where r.conversation_id = m.conversation_id and r.message_seq = m.seq and r.emoji = t.emoji and r.user_id = $1
       ) as mine
     from unnest($2::uuid[], $3::int8[]) with ordinality as m (conversation_id, seq, place)
     cross join lateral (
       select emoji, count, first_seq from reaction_totals t
       where t.conversation_id = m.conversation_id and t.message_seq = m.seq
       order by t.first_seq limit ${maxEmojis}
     ) t
     order by m.place, t.first_seq`,
    [user, messages.map((m) => m.conversation), messages.map((m) => m.seq)],
    'message-reactions',
  )
  for (const { place, emoji, count, mine } of rows) {
    reactions[place - 1]?.push({ emoji: emoji.toString('utf8'), count, mine })
  }
  return reactions
}
