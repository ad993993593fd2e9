import { createHash } from 'node:crypto'
import type { ConversationKind, History, MessageBody, Role } from './frames.ts'
import { formatId, parseId } from './ids.ts'
import { pack, unpack } from './pack.ts'

/**
 * What stands in the `commands` log: one record holds many commands of one partition, all from one process,
 * which waits for their replies under `replyTo`.
 */

interface CommandBase {
  /** Made by the client; with the conversation it names the command for ever ([G2]). */
  id: string
  conversation: string
  sender: string
  /** The gateway's stamp: milliseconds since 1970. */
  at: number
  /** [R12] Which release's `decide` answers this. */
  rules: number
  /** The writing process's own number for the one who waits; it comes back with the reply. */
  correlation: number
}
export interface CreateCommand extends CommandBase {
  type: 'create'
  kind: ConversationKind
  title?: string
  history: History
  /** All first members, the sender among them, sorted. */
  members: string[]
}
export interface SendCommand extends CommandBase {
  type: 'send'
  body: MessageBody
}
export interface EditCommand extends CommandBase {
  type: 'edit'
  target: string
  body: MessageBody
}
export interface DeleteCommand extends CommandBase {
  type: 'delete'
  target: string
}
export interface ReactCommand extends CommandBase {
  type: 'react'
  target: string
  emoji: string
  remove?: boolean
}
export interface AddCommand extends CommandBase {
  type: 'add'
  users: string[]
}
/** Leaving is the removal of oneself. */
export interface RemoveCommand extends CommandBase {
  type: 'remove'
  user: string
}
export interface RoleCommand extends CommandBase {
  type: 'role'
  user: string
  role: Role
}
export interface UpdateCommand extends CommandBase {
  type: 'update'
  title: string
}

export type Command =
  | CreateCommand
  | SendCommand
  | EditCommand
  | DeleteCommand
  | ReactCommand
  | AddCommand
  | RemoveCommand
  | RoleCommand
  | UpdateCommand
export type CommandType = Command['type']

/** Type codes in the record; numbers are never given to another type. */
const codes = {
  create: 1,
  send: 2,
  edit: 3,
  delete: 4,
  react: 5,
  add: 6,
  remove: 7,
  role: 8,
  update: 9,
} as const satisfies Record<CommandType, number>
const typeOf = new Map<number, CommandType>(
  Object.entries(codes).map(([type, code]) => [code, type as CommandType]),
)

/**
 * What a command says besides who, where and when, in one order of fields: the part that makes a retry equal to
 * its first ([G2]). Absent fields are null at the end left out.
 */
export function contentOf(command: Command): unknown[] {
  switch (command.type) {
    case 'create':
      return [command.kind, command.title ?? null, command.history, command.members]
    case 'send':
      return [command.body]
    case 'edit':
      return [command.target, command.body]
    case 'delete':
      return [command.target]
    case 'react':
      return [command.target, command.emoji, command.remove === true]
    case 'add':
      return [command.users]
    case 'remove':
      return [command.user]
    case 'role':
      return [command.user, command.role]
    case 'update':
      return [command.title]
  }
}

export interface ContentDigest {
  /** [R8] 16 bytes of SHA-256 over sender, type and content; equal only for the same request. */
  hash: Buffer
  /** The size of what was hashed: the content as MessagePack and a few bytes more. */
  bytes: number
}

export function contentDigest(command: Command): ContentDigest {
  const packed = pack([command.sender, codes[command.type], ...contentOf(command)])
  const hash = createHash('sha256').update(packed).digest().subarray(0, 16)
  return { hash, bytes: packed.length }
}

export interface CommandRecord {
  /** The internal address of the process that waits for the replies. */
  replyTo: string
  commands: Command[]
}

export function encodeCommandRecord(record: CommandRecord): Buffer {
  return pack([
    record.replyTo,
    record.commands.map((c) => [
      codes[c.type],
      parseId(c.id),
      parseId(c.conversation),
      parseId(c.sender),
      c.at,
      c.rules,
      c.correlation,
      ...contentOf(c),
    ]),
  ])
}

/** Throws when the bytes are no command record; the partition then stops rather than skip it ([R10]). */
export function decodeCommandRecord(value: Uint8Array): CommandRecord {
  const [replyTo, rows] = unpack(value) as [string, unknown[][]]
  if (typeof replyTo !== 'string' || !Array.isArray(rows)) throw new Error('no command record')
  return { replyTo, commands: rows.map(decodeCommand) }
}

function decodeCommand(row: unknown[]): Command {
  const [code, id, conversation, sender, at, rules, correlation, a, b, c, d] = row
  const type = typeOf.get(code as number)
  if (type === undefined) throw new Error(`no command type has the code ${String(code)}`)
  const base = {
    id: formatId(id as Uint8Array),
    conversation: formatId(conversation as Uint8Array),
    sender: formatId(sender as Uint8Array),
    at: at as number,
    rules: rules as number,
    correlation: correlation as number,
  }
  switch (type) {
    case 'create': {
      const create: CreateCommand = {
        ...base,
        type,
        kind: a as ConversationKind,
        history: c as History,
        members: d as string[],
      }
      if (typeof b === 'string') create.title = b
      return create
    }
    case 'send':
      return { ...base, type, body: a as MessageBody }
    case 'edit':
      return { ...base, type, target: a as string, body: b as MessageBody }
    case 'delete':
      return { ...base, type, target: a as string }
    case 'react':
      return { ...base, type, target: a as string, emoji: b as string, remove: c as boolean }
    case 'add':
      return { ...base, type, users: a as string[] }
    case 'remove':
      return { ...base, type, user: a as string }
    case 'role':
      return { ...base, type, user: a as string, role: b as Role }
    case 'update':
      return { ...base, type, title: a as string }
  }
}
