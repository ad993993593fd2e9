import type { Sql } from '@parley/platform/ports/database'
import { eventKindCodes } from '@parley/proto/event-frame'
import { byteas, int2s, int4s, int8s, uuids } from './columns.ts'
import type { PlacedEvent } from './compare.ts'
import type { ConversationDraft, ReactionDraft } from './draft.ts'
import type { Projection } from './project.ts'
import { inParts } from './write-parts.ts'

/** The rows of events, then what they change of messages: each statement sees what those before it have written. */
export function writeMessages(sql: Sql, projection: Projection, epoch: number): Promise<unknown>[] {
  const { rows, drafts, erased } = projection
  const { edits, removed, added, touched } = messageChanges(drafts)
  return [
    ...inParts(rows, (part) => insertEvents(sql, part, epoch)),
    ...inParts(edits, (part) => editMessages(sql, part)),
    ...inParts(removed, (part) => removeReactions(sql, part)),
    ...inParts(added, (part) => addReactions(sql, part)),
    ...inParts(touched, (part) => countReactions(sql, part)),
    ...inParts(erased, (part) => eraseBodies(sql, part)),
    ...inParts(erased, (part) => dropReactions(sql, part)),
  ]
}

interface MessageKey {
  conversation: Uint8Array
  messageSeq: number
}
type EditedMessage = MessageKey & { at: number; body: Uint8Array }
type ReactionKey = MessageKey & { user: Uint8Array; emoji: Uint8Array }

interface MessageChanges {
  edits: EditedMessage[]
  /** Reactions that go, for good or because a new one takes their place. */
  removed: ReactionKey[]
  added: (ReactionKey & { seq: number })[]
  /** Emojis of messages whose numbers may have changed, each once. */
  touched: (MessageKey & { emoji: Uint8Array })[]
}

function messageChanges(drafts: readonly ConversationDraft[]): MessageChanges {
  const changes: MessageChanges = { edits: [], removed: [], added: [], touched: [] }
  for (const { idBytes: conversation, messages } of drafts) {
    for (const { seq: messageSeq, edit, reactions } of messages.values()) {
      const key = { conversation, messageSeq }
      if (edit !== undefined) changes.edits.push({ ...key, ...edit })
      reactionChanges(key, [...reactions.values()], changes)
    }
  }
  return changes
}

function reactionChanges(
  message: MessageKey,
  reactions: readonly ReactionDraft[],
  { removed, added, touched }: MessageChanges,
): void {
  const emojis = new Map<string, Uint8Array>()
  for (const reaction of reactions) {
    const emoji = emojis.get(reaction.emoji) ?? Buffer.from(reaction.emoji, 'utf8')
    emojis.set(reaction.emoji, emoji)
    const key = { ...message, user: reaction.user, emoji }
    if (reaction.removed) removed.push(key)
    if (reaction.addedSeq !== undefined) added.push({ ...key, seq: reaction.addedSeq })
  }
  for (const emoji of emojis.values()) touched.push({ ...message, emoji })
}

function messageColumns(part: readonly MessageKey[]): [Buffer, Buffer] {
  return [uuids(part.map((m) => m.conversation)), int8s(part.map((m) => m.messageSeq))]
}

function insertEvents(sql: Sql, part: readonly PlacedEvent[], epoch: number) {
  return sql.query(
    `insert into messages (conversation_id, seq, id, kind, sender, at, target, body, hash, command_offset,
       command_index, epoch)
     select *, $12::int4 from unnest($1::uuid[], $2::int8[], $3::uuid[], $4::int2[], $5::uuid[], $6::int8[],
       $7::uuid[], $8::bytea[], $9::bytea[], $10::int8[], $11::int4[])`,
    [
      uuids(part.map((e) => e.event.conversation)),
      int8s(part.map((e) => e.event.seq)),
      uuids(part.map((e) => e.event.id)),
      int2s(part.map((e) => eventKindCodes[e.event.kind])),
      uuids(part.map((e) => e.event.sender)),
      int8s(part.map((e) => e.event.at)),
      uuids(part.map((e) => e.event.target)),
      byteas(part.map((e) => e.event.body)),
      byteas(part.map((e) => e.hash)),
      int8s(part.map((e) => e.offset)),
      int4s(part.map((e) => e.index)),
      epoch,
    ],
    'storage-insert-events',
  )
}

function editMessages(sql: Sql, part: readonly EditedMessage[]) {
  return sql.query(
    `update messages m set present_body = v.body, edited_at = v.at
     from unnest($1::uuid[], $2::int8[], $3::bytea[], $4::int8[]) as v (conversation_id, seq, body, at)
     where m.conversation_id = v.conversation_id and m.seq = v.seq`,
    [...messageColumns(part), byteas(part.map((m) => m.body)), int8s(part.map((m) => m.at))],
    'storage-edit-messages',
  )
}

/** [G6] The bodies of a deleted message and those of its edits so far; a later edit comes without one. */
function eraseBodies(sql: Sql, part: Readonly<Projection['erased']>) {
  return sql.query(
    `with v as (
       select * from unnest($1::uuid[], $2::int8[], $3::uuid[], $4::int8[]) as v (conversation_id, seq, target, deleted_seq)
     ), gone as (
       select conversation_id, seq, deleted_seq from v
       union all
       select m.conversation_id, m.seq, null from v join messages m
         on m.conversation_id = v.conversation_id and m.target = v.target and m.kind = ${eventKindCodes.edit}
     )
     update messages m set body = null, present_body = null, edited_at = null, deleted_seq = gone.deleted_seq from gone
     where m.conversation_id = gone.conversation_id and m.seq = gone.seq`,
    [...messageColumns(part), uuids(part.map((e) => e.target)), int8s(part.map((e) => e.seq))],
    'storage-erase-bodies',
  )
}

function removeReactions(sql: Sql, part: readonly ReactionKey[]) {
  return sql.query(
    `delete from reactions r
     using unnest($1::uuid[], $2::int8[], $3::bytea[], $4::uuid[]) as v (conversation_id, message_seq, emoji, user_id)
     where r.conversation_id = v.conversation_id and r.message_seq = v.message_seq and r.emoji = v.emoji
       and r.user_id = v.user_id`,
    [...messageColumns(part), byteas(part.map((r) => r.emoji)), uuids(part.map((r) => r.user))],
    'storage-remove-reactions',
  )
}

/** One that stands already stays as it is. */
function addReactions(sql: Sql, part: readonly (ReactionKey & { seq: number })[]) {
  return sql.query(
    `insert into reactions (conversation_id, message_seq, emoji, user_id, seq)
     select * from unnest($1::uuid[], $2::int8[], $3::bytea[], $4::uuid[], $5::int8[])
     on conflict (conversation_id, message_seq, emoji, user_id) do nothing`,
    [
      ...messageColumns(part),
      byteas(part.map((r) => r.emoji)),
      uuids(part.map((r) => r.user)),
      int8s(part.map((r) => r.seq)),
    ],
    'storage-add-reactions',
  )
}

/** Counted anew from what stands: at most as many rows as the conversation has had members. */
function countReactions(sql: Sql, part: readonly (MessageKey & { emoji: Uint8Array })[]) {
  return sql.query(
    `with v as (
       select * from unnest($1::uuid[], $2::int8[], $3::bytea[]) as v (conversation_id, message_seq, emoji)
     ), total as (
       select v.conversation_id, v.message_seq, v.emoji, count(r.user_id)::int4 as count, min(r.seq) as first_seq
       from v left join reactions r
         on r.conversation_id = v.conversation_id and r.message_seq = v.message_seq and r.emoji = v.emoji
       group by v.conversation_id, v.message_seq, v.emoji
     ), gone as (
       delete from reaction_totals t using total
       where total.count = 0 and t.conversation_id = total.conversation_id and t.message_seq = total.message_seq
         and t.emoji = total.emoji
     )
     insert into reaction_totals (conversation_id, message_seq, emoji, count, first_seq)
     select * from total where count > 0
     on conflict (conversation_id, message_seq, emoji)
       do update set count = excluded.count, first_seq = excluded.first_seq`,
    [...messageColumns(part), byteas(part.map((t) => t.emoji))],
    'storage-count-reactions',
  )
}

/** Of deleted messages. */
function dropReactions(sql: Sql, part: Readonly<Projection['erased']>) {
  return sql.query(
    `with v as (select * from unnest($1::uuid[], $2::int8[]) as v (conversation_id, message_seq)),
       totals as (
         delete from reaction_totals t using v
         where t.conversation_id = v.conversation_id and t.message_seq = v.message_seq
       )
     delete from reactions r using v
     where r.conversation_id = v.conversation_id and r.message_seq = v.message_seq`,
    messageColumns(part),
    'storage-drop-reactions',
  )
}
