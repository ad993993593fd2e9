/** The words of the contract, as the model and its readers use them. */

export type Kind = 'direct' | 'group' | 'channel'
export type Role = 'owner' | 'admin' | 'member'
export type History = 'all' | 'joined'
export type Fields = Record<string, unknown>

export type Command =
  | { type: 'send'; id: string; body: Fields }
  | { type: 'edit'; id: string; target: string; body: Fields }
  | { type: 'delete'; id: string; target: string }
  | { type: 'react'; id: string; target: string; emoji: string; remove?: true }
  | { type: 'add'; id?: string; users: readonly string[] }
  | { type: 'remove'; user: string }
  | { type: 'role'; user: string; role: Role }
  | { type: 'title'; title: string }

/** What is foretold of an event. `id` and `at` are the server's where they are absent. */
export interface Foretold {
  seq: number
  kind: string
  sender: string
  body?: Fields
  target?: string
  id?: string
  at?: number
}

/** An event as it comes over the wire, whichever way. */
export interface Shown {
  conversation: string
  seq: number
  kind: string
  sender: string
  id: string
  at: number
  body?: Fields
  target?: string
}

export type Refusal =
  | 'not_found'
  | 'forbidden'
  | 'conflict'
  | 'id_conflict'
  /** Not in the contract: the model was asked what it leaves open. */
  | 'unforeseen'

export type Verdict =
  | { ok: true; event: Foretold }
  | { ok: true; duplicate: Foretold }
  | { ok: false; code: Refusal }

export interface Member {
  role: Role
  /** The first seq this member may see. */
  from: number
  /** How far this member has read, 0 for nothing. */
  read: number
}

/** A time of membership: seqs `from` to `to` were to be seen in it; without `to` it lasts. */
export interface Stay {
  user: string
  from: number
  to?: number
}

/** A message in its present state, as one reader sees it. */
export interface PresentMessage {
  id: string
  seq: number
  sender: string
  at: number
  body?: Fields
  editedAt?: number
  deleted?: true
  reactions: { emoji: string; count: number; mine: boolean }[]
}
