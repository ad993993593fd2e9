import type { UserNotice } from '@parley/proto/fan-out'
import type { ConversationKind, History, Role } from '@parley/proto/frames'
import type { PlacedEvent } from './compare.ts'

/** One conversation while a batch is applied: what was loaded of it, and what has changed since. */
export interface ConversationDraft {
  readonly id: string
  readonly idBytes: Uint8Array
  /** 0 when the database does not have the conversation. */
  readonly storedHead: number
  head: number
  history: History
  memberCount: number
  /** Set by its `created` event when that is in this batch. */
  created: CreatedDraft | undefined
  /** Set by `updated`. */
  title: string | undefined
  /** Applied in this batch; the first has the seq `storedHead + 1`. */
  readonly rows: PlacedEvent[]
  /** Those whose membership this batch touches, by user. */
  readonly members: Map<string, MemberDraft>
  /** How far senders have read by sending, of those whose row is not new. */
  readonly reads: Map<string, number>
  /** The seqs of this batch's own messages, by id. */
  readonly placed: Map<string, number>
  /** Messages that edits, deletes and reactions of this batch are about, by id. */
  readonly messages: Map<string, MessageDraft>
}

export interface CreatedDraft {
  kind: ConversationKind
  title: string | null
  hash: Uint8Array
  at: number
}

export interface MemberDraft {
  /** The role in the database's row; undefined when there is none. */
  readonly stored: Role | undefined
  /** The role now; undefined when outside. */
  role: Role | undefined
  /** The rest of a row that this batch makes anew; undefined while the stored row stays. */
  fresh: { fromSeq: number; joinedSeq: number; readSeq: number } | undefined
}

export interface MessageDraft {
  readonly seq: number
  /** The seq of its `delete`; undefined while it stands. */
  deletedSeq: number | undefined
  /** Its last edit in this batch. */
  edit: { at: number; body: Uint8Array } | undefined
  /** Those that this batch changes, by user and emoji. */
  readonly reactions: Map<string, ReactionDraft>
}

export interface ReactionDraft {
  user: Uint8Array
  emoji: string
  /** Taken away in this batch, whether it stood before or not. */
  removed: boolean
  /** Set in this batch, after that; where it stands already, the stored one stays. */
  addedSeq: number | undefined
}

/** What applying a batch leaves besides the drafts. */
export interface SideEffects {
  /** Messages deleted by the event `seq`: their bodies go, those of their edits, and their reactions. */
  erased: { conversation: Uint8Array; target: Uint8Array; messageSeq: number; seq: number }[]
  /** In the order of their events. */
  notices: { user: string; notice: UserNotice }[]
}
