import type { Command } from '@parley/proto/commands'
import { type ErrorCode, errors } from '@parley/proto/errors'
import type { Ack, ErrorFrame, Event } from '@parley/proto/frames'
import type { Conversation } from './directory-stub.ts'

/** What the partition's owner answers, by the few rules that a gateway's tests need. */
export async function decide(
  command: Command,
  known: Conversation | undefined,
  append: (event: Partial<Event>) => Promise<Event>,
): Promise<Ack | ErrorFrame> {
  const { id, conversation, sender, at } = command
  const about = { id, conversation }
  const same = known?.events.find((event) => event.id === id)
  if (same !== undefined) {
    return { type: 'ack', ...about, seq: same.seq, at: same.at, duplicate: true }
  }
  if (!known?.members.has(sender)) return refused(id, 'not_found')
  const what = eventOf(command, known)
  if (typeof what === 'string') return refused(id, what)
  const { seq } = await append({ id, at, sender, ...what })
  return { type: 'ack', ...about, seq, at }
}

function eventOf(command: Command, { events }: Conversation): Partial<Event> | ErrorCode {
  if (command.type === 'send') return { body: command.body }
  if (command.type !== 'edit' && command.type !== 'delete' && command.type !== 'react') {
    return 'unsupported'
  }
  const { target, sender } = command
  const message = events.find((event) => event.id === target && event.kind === 'message')
  if (message === undefined) return 'not_found'
  if (command.type !== 'react' && message.sender !== sender) return 'forbidden'
  switch (command.type) {
    case 'edit':
      return { kind: 'edit', target, body: command.body }
    case 'delete':
      return { kind: 'delete', target }
    case 'react': {
      const { emoji, remove } = command
      return { kind: 'reaction', target, body: remove ? { emoji, remove } : { emoji } }
    }
  }
}

function refused(id: string, code: ErrorCode): ErrorFrame {
  return { type: 'error', code, message: 'no', retryable: errors[code].retryable, id }
}
