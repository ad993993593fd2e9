import type { Sql } from '@parley/platform/ports/database'
import type { Role } from '@parley/proto/frames'
import { parseId } from '@parley/proto/ids'
import type { Checkpoint } from './batch.ts'
import { byteas, int4s, int8s, texts, uuids } from './columns.ts'
import type { PlacedEvent } from './compare.ts'
import type { ConversationDraft, CreatedDraft } from './draft.ts'
import type { Projection } from './project.ts'
import { writeMessages } from './write-messages.ts'
import { inParts } from './write-parts.ts'

/**
 * One multi-row statement for each kind of row, all prepared. They are handed over at once and run one after the other
 * on the transaction's connection; when one fails, so do those behind it, and the first failure is what rejects.
 */
export async function writeProjection(
  sql: Sql,
  projection: Projection,
  epoch: number,
): Promise<void> {
  const { drafts } = projection
  const created = drafts.filter(isCreated)
  const moved = drafts.filter((d) => d.created === undefined)
  const members = memberChanges(drafts)
  await Promise.all([
    ...inParts(created, (part) => insertConversations(sql, part, epoch)),
    ...inParts(moved, (part) => moveHeads(sql, part, epoch)),
    ...inParts(members.gone, (part) => removeMembers(sql, part)),
    ...inParts(members.fresh, (part) => insertMembers(sql, part)),
    ...inParts(members.roles, (part) => changeRoles(sql, part)),
    ...inParts(members.reads, (part) => moveReads(sql, part)),
    ...writeMessages(sql, projection, epoch),
  ])
}

/** [R4] Moves the checkpoint if it is still `from`; false when it is not. */
export async function moveCheckpoint(
  sql: Sql,
  move: { partition: number; from: Checkpoint; to: Checkpoint },
): Promise<boolean> {
  const { partition, from, to } = move
  const rows = await sql.query(
    `update partition_checkpoints set next_event = $4, up_to_offset = $5, up_to_index = $6
     where partition = $1 and epoch = $2 and next_event = $3 returning partition`,
    [partition, from.epoch, from.next, to.next, to.upTo.offset, to.upTo.index],
    'storage-checkpoint-move',
  )
  return rows.length === 1
}

type CreatedConversation = ConversationDraft & { created: CreatedDraft }

function isCreated(draft: ConversationDraft): draft is CreatedConversation {
  return draft.created !== undefined
}

function lastOf(draft: ConversationDraft): PlacedEvent {
  return draft.rows[draft.rows.length - 1] as PlacedEvent
}

function insertConversations(sql: Sql, part: readonly CreatedConversation[], epoch: number) {
  const last = part.map(lastOf)
  return sql.query(
    `insert into conversations (id, kind, history, title, created_hash, created_at, head, member_count,
       last_at, last_offset, last_index, last_epoch)
     select *, $12::int4 from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::int8[],
       $7::int8[], $8::int4[], $9::int8[], $10::int8[], $11::int4[])`,
    [
      uuids(part.map((d) => d.idBytes)),
      texts(part.map((d) => d.created.kind)),
      texts(part.map((d) => d.history)),
      texts(part.map((d) => d.title ?? d.created.title)),
      byteas(part.map((d) => d.created.hash)),
      int8s(part.map((d) => d.created.at)),
      int8s(part.map((d) => d.head)),
      int4s(part.map((d) => d.memberCount)),
      int8s(last.map((e) => e.event.at)),
      int8s(last.map((e) => e.offset)),
      int4s(last.map((e) => e.index)),
      epoch,
    ],
    'storage-insert-conversations',
  )
}

function moveHeads(sql: Sql, part: readonly ConversationDraft[], epoch: number) {
  const last = part.map(lastOf)
  return sql.query(
    `update conversations c set head = v.head, member_count = v.member_count, last_at = v.last_at,
       last_offset = v.last_offset, last_index = v.last_index, last_epoch = $8::int4, title = coalesce(v.title, c.title)
     from unnest($1::uuid[], $2::int8[], $3::int4[], $4::int8[], $5::int8[], $6::int4[], $7::text[])
       as v (id, head, member_count, last_at, last_offset, last_index, title)
     where c.id = v.id`,
    [
      uuids(part.map((d) => d.idBytes)),
      int8s(part.map((d) => d.head)),
      int4s(part.map((d) => d.memberCount)),
      int8s(last.map((e) => e.event.at)),
      int8s(last.map((e) => e.offset)),
      int4s(last.map((e) => e.index)),
      texts(part.map((d) => d.title ?? null)),
      epoch,
    ],
    'storage-move-heads',
  )
}

interface MemberKey {
  conversation: Uint8Array
  user: Uint8Array
}
type FreshMember = MemberKey & { role: Role; fromSeq: number; joinedSeq: number; readSeq: number }

interface MemberChanges {
  /** Rows that go, for good or because a new one takes their place. */
  gone: MemberKey[]
  fresh: FreshMember[]
  roles: (MemberKey & { role: Role })[]
  reads: (MemberKey & { seq: number })[]
}

function memberChanges(drafts: readonly ConversationDraft[]): MemberChanges {
  const changes: MemberChanges = { gone: [], fresh: [], roles: [], reads: [] }
  for (const draft of drafts) {
    const conversation = draft.idBytes
    for (const [id, { stored, role, fresh }] of draft.members) {
      const key = { conversation, user: parseId(id) }
      if (stored !== undefined && (role === undefined || fresh !== undefined)) {
        changes.gone.push(key)
      }
      if (role === undefined) continue
      if (fresh !== undefined) changes.fresh.push({ ...key, role, ...fresh })
      else if (role !== stored) changes.roles.push({ ...key, role })
    }
    for (const [id, seq] of draft.reads) {
      changes.reads.push({ conversation, user: parseId(id), seq })
    }
  }
  return changes
}

function keyColumns(part: readonly MemberKey[]): [Buffer, Buffer] {
  return [uuids(part.map((m) => m.conversation)), uuids(part.map((m) => m.user))]
}

function removeMembers(sql: Sql, part: readonly MemberKey[]) {
  return sql.query(
    `delete from members m using unnest($1::uuid[], $2::uuid[]) as v (conversation_id, user_id)
     where m.conversation_id = v.conversation_id and m.user_id = v.user_id`,
    keyColumns(part),
    'storage-remove-members',
  )
}

function insertMembers(sql: Sql, part: readonly FreshMember[]) {
  return sql.query(
    `insert into members (conversation_id, user_id, role, from_seq, joined_seq, read_seq)
     select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::int8[], $5::int8[], $6::int8[])`,
    [
      ...keyColumns(part),
      texts(part.map((m) => m.role)),
      int8s(part.map((m) => m.fromSeq)),
      int8s(part.map((m) => m.joinedSeq)),
      int8s(part.map((m) => m.readSeq)),
    ],
    'storage-insert-members',
  )
}

function changeRoles(sql: Sql, part: readonly (MemberKey & { role: Role })[]) {
  return sql.query(
    `update members m set role = v.role
     from unnest($1::uuid[], $2::uuid[], $3::text[]) as v (conversation_id, user_id, role)
     where m.conversation_id = v.conversation_id and m.user_id = v.user_id`,
    [...keyColumns(part), texts(part.map((m) => m.role))],
    'storage-change-roles',
  )
}

/** [G9] Read positions come from cursors too, so they may be further already. */
function moveReads(sql: Sql, part: readonly (MemberKey & { seq: number })[]) {
  return sql.query(
    `update members m set read_seq = v.seq
     from unnest($1::uuid[], $2::uuid[], $3::int8[]) as v (conversation_id, user_id, seq)
     where m.conversation_id = v.conversation_id and m.user_id = v.user_id and m.read_seq < v.seq`,
    [...keyColumns(part), int8s(part.map((m) => m.seq))],
    'storage-move-reads',
  )
}
