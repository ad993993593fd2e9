import { setTimeout as delay } from 'node:timers/promises'
import type { Ack, ErrorFrame } from '../harness/frames.ts'
import type { Command } from '../model/contract.ts'
import { lost } from './device.ts'
import type { Players, RestRequest } from './players.ts'
import type { Dice } from './seeds.ts'

/** A command that a user tries, and the way it takes. */
export interface Attempt {
  by: string
  command: Command
  /** Changes of members and titles go over REST always. */
  overRest: boolean
  /** Which of the user's devices must send it; any of them when absent. */
  device?: number
}

export type Outcome = { attempt: Attempt } & (
  | { state: 'acked'; seq: number; at: number; duplicate: boolean; resent: boolean }
  /** Accepted over REST, which doesn't say where. */
  | { state: 'done' }
  | { state: 'refused'; code: string }
  /** The answer was lost, and the command has no id to ask again with. */
  | { state: 'unknown' }
)

const tryingMs = 90_000

/** Tries until there is an answer that is final, as a client with an outbox does: the same id, `retry` set. */
export async function perform(
  players: Players,
  conversation: string,
  attempt: Attempt,
  dice: Dice,
): Promise<Outcome> {
  const { type } = attempt.command
  if (type === 'add' || type === 'remove' || type === 'role' || type === 'title') {
    return changeOverRest(players, conversation, attempt)
  }
  const end = performance.now() + tryingMs
  for (let resent = false; ; resent = true) {
    const answer =
      attempt.overRest && type === 'send'
        ? await postMessage(players, conversation, attempt)
        : await sendFrame(players, conversation, { attempt, resent, dice })
    if (answer !== lost) {
      if (answer.type === 'ack') {
        const { seq, at, duplicate = false } = answer
        return { attempt, state: 'acked', seq, at, duplicate, resent }
      }
      if (!answer.retryable) return { attempt, state: 'refused', code: answer.code }
    }
    if (performance.now() > end) throw new Error(`no final answer: ${JSON.stringify(attempt)}`)
    await delay(answer === lost ? 20 : (answer.retryAfterMs ?? 100))
  }
}

type SendAnswer =
  | Pick<Ack, 'type' | 'seq' | 'at' | 'duplicate'>
  | Pick<ErrorFrame, 'type' | 'code' | 'retryable' | 'retryAfterMs'>
  | typeof lost

async function sendFrame(
  players: Players,
  conversation: string,
  { attempt, resent, dice }: { attempt: Attempt; resent: boolean; dice: Dice },
): Promise<SendAnswer> {
  const { by, command } = attempt
  if (!('id' in command) || command.id === undefined) throw new Error('a frame needs an id')
  const device = await players.onlineDeviceOf(by, dice, attempt.device)
  const frame = { ...command, id: command.id, conversation }
  return device.command(resent ? { ...frame, retry: true } : frame)
}

async function postMessage(
  players: Players,
  conversation: string,
  { by, command }: Attempt,
): Promise<SendAnswer> {
  const { type: _type, ...body } = command
  const answer = await players.request(by, {
    method: 'POST',
    path: `/v1/conversations/${conversation}/messages`,
    body,
  })
  if (answer === lost) return lost
  const said = JSON.parse(answer.text)
  if (answer.status === 200) return { type: 'ack', ...said }
  const { code, retryAfterMs } = said
  return { type: 'error', code, retryable: answer.status >= 429, retryAfterMs }
}

async function changeOverRest(
  players: Players,
  conversation: string,
  attempt: Attempt,
): Promise<Outcome> {
  const { by, command } = attempt
  const answer = await players.request(by, requestOf(conversation, command))
  if (answer === lost || answer.status >= 429) return { attempt, state: 'unknown' }
  if (answer.status < 300) return { attempt, state: 'done' }
  return { attempt, state: 'refused', code: String(JSON.parse(answer.text).code) }
}

function requestOf(conversation: string, command: Command): RestRequest {
  const path = `/v1/conversations/${conversation}`
  switch (command.type) {
    case 'add': {
      const { id, users } = command
      return { method: 'POST', path: `${path}/members`, body: { id, members: users } }
    }
    case 'remove':
      return { method: 'DELETE', path: `${path}/members/${command.user}` }
    case 'role': {
      const { user, role } = command
      return { method: 'PATCH', path: `${path}/members/${user}`, body: { role } }
    }
    case 'title':
      return { method: 'PATCH', path, body: { title: command.title } }
    default:
      throw new Error(`${command.type} is a frame`)
  }
}
