import type { ClientFrame } from '../harness/frames.ts'
import { uuid7 } from '../harness/ids.ts'
import type { Command } from '../model/contract.ts'
import { read } from '../model/conversation.ts'
import type { Attempt } from './attempts.ts'
import {
  anyMember,
  anyoneOfCast,
  type DrawnKind,
  draw,
  drawBody,
  memberKinds,
  messageKinds,
} from './commands.ts'
import { expectEventsPage, expectListEntry, expectSyncedPage } from './reading.ts'
import { count, note, type Room } from './room.ts'

const weights = {
  send: 24,
  edit: 8,
  delete: 5,
  react: 9,
  add: 6,
  remove: 3,
  leave: 2,
  role: 4,
  title: 3,
  burst: 12,
  twins: 3,
  again: 5,
  clash: 3,
  read: 9,
  typing: 2,
  sync: 6,
  events: 3,
  list: 3,
} as const

type StepKind = keyof typeof weights

/** `WITHOUT=edit,read` leaves kinds of steps out, to narrow a failure down. */
const without = (process.env.WITHOUT ?? '').split(',')
const wanted = Object.fromEntries(
  Object.entries(weights).map(([kind, weight]) => [kind, without.includes(kind) ? 0 : weight]),
) as Record<StepKind, number>
const burstKinds = messageKinds.filter((kind) => !without.includes(kind))

/** One step of a room, drawn from its dice. */
export async function step(room: Room): Promise<void> {
  const kind: StepKind = room.dice.weighted(wanted)
  if (await run(room, kind)) count(room, kind)
}

async function run(room: Room, kind: StepKind): Promise<boolean> {
  switch (kind) {
    case 'burst':
      return attemptAll(room, drawBurst(room))
    case 'twins':
      return attemptAll(room, drawTwins(room))
    case 'again':
      return attemptAll(room, drawAgain(room))
    case 'clash':
      return attemptAll(room, drawClash(room))
    case 'read':
      await readUpTo(room)
      return true
    case 'typing':
      await type(room)
      return true
    case 'sync':
      await expectSyncedPage(room, anyoneOfCast(room))
      return true
    case 'events':
      await expectEventsPage(room, anyoneOfCast(room))
      return true
    case 'list':
      await expectListEntry(room, anyoneOfCast(room))
      return true
    default: {
      const attempt = draw(room, kind)
      return attemptAll(room, attempt === undefined ? [] : [attempt])
    }
  }
}

async function attemptAll(room: Room, attempts: readonly Attempt[]): Promise<boolean> {
  if (attempts.length === 0) return false
  await room.attempt(attempts)
  return true
}

/**
 * Several at once. One owner is left alone, so that someone can tell afterwards what happened; of changes to members at
 * most two.
 */
function drawBurst(room: Room): Attempt[] {
  const { dice, model } = room
  const anchor = [...model.members].find(([, { role }]) => role === 'owner')?.[0]
  const attempts: Attempt[] = []
  const size = dice.integer(2, 6)
  for (let changes = 0; attempts.length < size; ) {
    const isChange = model.kind !== 'direct' && changes < 2 && dice.chance(15)
    const kinds: readonly DrawnKind[] = isChange ? memberKinds : ['send', ...burstKinds]
    const attempt = draw(room, dice.pick(kinds)) ?? draw(room, 'send')
    if (attempt === undefined || touches(attempt.command, anchor)) continue
    if (isChange) changes += 1
    attempts.push(attempt)
  }
  return attempts
}

function touches(command: Command, anchor: string | undefined): boolean {
  return (command.type === 'remove' || command.type === 'role') && command.user === anchor
}

/** [G2] The same id at once from both devices of a user. */
function drawTwins(room: Room): Attempt[] {
  const by = anyMember(room)
  const devices = room.players.devicesOf(by).filter((device) => device.isOnline)
  if (devices.length < 2) return []
  const command: Command = { type: 'send', id: uuid7(), body: drawBody(room) }
  return [0, 1].map((device) => ({ by, command, overRest: false, device }))
}

/** [S3] A resend of something accepted earlier, by whom it was, be they still a member or not. */
function drawAgain(room: Room): Attempt[] {
  const old = anyAccepted(room)
  return old === undefined ? [] : [{ ...old, overRest: false }]
}

/** [S3] An accepted id with something else in it, or by someone else. */
function drawClash(room: Room): Attempt[] {
  const old = anyAccepted(room)
  if (old === undefined) return []
  const { id } = old.command
  const by = room.dice.chance(50) ? old.by : anyoneOfCast(room)
  const body = { text: 'something else entirely' }
  return [{ by, command: { type: 'send', id, body }, overRest: room.dice.chance(30) }]
}

function anyAccepted({ model, dice }: Room) {
  const frames = [...model.accepted.values()].flatMap(({ by, content }) => {
    const command = JSON.parse(content) as Command & { id: string }
    return command.type === 'add' ? [] : [{ by, command }]
  })
  return frames.length === 0 ? undefined : dice.pick(frames)
}

/** [P4] Beyond the head, or back, now and then. */
async function readUpTo(room: Room): Promise<void> {
  const { dice, model } = room
  const user = anyoneOfCast(room)
  const seq = dice.integer(1, model.events.length + 3)
  const expected = read(model, user, seq) ? 'done' : 'not_found'
  const byFrame = dice.chance(70)
  const answer = byFrame
    ? await told(room, user, { type: 'read', conversation: model.id, seq })
    : await readOverRest(room, user, seq)
  note(room, `${user} reads ${seq} ${byFrame ? 'by frame' : 'over REST'} → ${answer}`)
  if (answer !== expected) throw new Error(`read ${seq} by ${user}: ${answer}, not ${expected}`)
}

async function readOverRest({ players, model }: Room, user: string, seq: number): Promise<string> {
  const { status, text } = await players.untilAnswered(user, {
    method: 'PUT',
    path: `/v1/conversations/${model.id}/read`,
    body: { seq },
  })
  return status === 204 ? 'done' : String(JSON.parse(text).code)
}

async function type(room: Room): Promise<void> {
  const { dice, model } = room
  const user = anyoneOfCast(room)
  const expected = model.members.has(user) ? 'done' : 'not_found'
  const frame = { type: 'typing', conversation: model.id, active: dice.chance(60) }
  const answer = await told(room, user, frame)
  if (answer !== expected) throw new Error(`typing by ${user}: ${answer}, not ${expected}`)
}

/** Says it until it is answered: these frames may come twice. */
async function told({ players, dice }: Room, user: string, frame: ClientFrame): Promise<string> {
  for (;;) {
    const device = await players.onlineDeviceOf(user, dice)
    const answer = await device.tell(frame)
    if (answer === 'lost') continue
    return answer.type === 'error' ? answer.code : 'done'
  }
}
