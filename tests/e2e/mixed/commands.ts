import { uuid7 } from '../harness/ids.ts'
import type { Command, Fields, Foretold, Role } from '../model/contract.ts'
import type { Attempt } from './attempts.ts'
import type { Room } from './room.ts'

/** Commands as people make them: mostly sensible, now and then not. All of it is drawn from the room's dice. */

export const messageKinds = ['send', 'edit', 'delete', 'react'] as const
export const memberKinds = ['add', 'remove', 'leave', 'role', 'title'] as const
export type DrawnKind = (typeof messageKinds)[number] | (typeof memberKinds)[number]

const emojis = ['👍', '🎉', '❤️', '+1', '👩‍👩‍👧‍👦']
const titles = ['Climbing', '登山', 'Café 👩‍🚒', '"quoted"', 'x'.repeat(120)]
const roles: readonly Role[] = ['owner', 'admin', 'member']

/** Undefined where there is nothing to do of this kind now. */
export function draw(room: Room, kind: DrawnKind): Attempt | undefined {
  const { dice } = room
  const by = dice.chance(92) ? anyMember(room) : anyoneOfCast(room)
  switch (kind) {
    case 'send':
      return {
        by: dice.chance(85) ? (anySender(room) ?? by) : by,
        command: { type: 'send', id: uuid7(), body: drawBody(room) },
        overRest: dice.chance(15),
      }
    case 'edit':
    case 'delete':
    case 'react':
      return drawOnMessage(room, kind, by)
    default:
      return drawOnMembers(room, kind, by)
  }
}

export function anyMember({ model, dice }: Room): string {
  return dice.pick([...model.members.keys()].sort())
}

export function anyoneOfCast({ cast, dice }: Room): string {
  return dice.pick(cast).id
}

function anySender({ model, dice }: Room): string | undefined {
  if (model.kind !== 'channel') return undefined
  const senders = [...model.members].filter(([, { role }]) => role !== 'member')
  return senders.length === 0 ? undefined : dice.pick(senders.map(([user]) => user).sort())
}

/** In the order of the table, so that equal content is equal text. */
export function drawBody(room: Room): Fields {
  const { dice, model, cast } = room
  const body: Fields = { text: `${model.events.length}: ${drawText(room)}` }
  const message = anyMessage(room)
  if (message !== undefined && dice.chance(20)) body.replyTo = message.id as string
  if (dice.chance(15)) {
    body.mentions = dice.shuffled(cast.map((person) => person.id)).slice(0, dice.integer(1, 2))
  }
  return body
}

function drawText({ dice }: Room): string {
  const texts = ['well', '你好，世界', 'Grüße 👋', 'a\u0000b', '  spaces  ', '"quoted" \\ \n']
  return dice.chance(3) ? 'long '.repeat(dice.integer(100, 1_500)) : dice.pick(texts)
}

function messages({ model }: Room): Foretold[] {
  return model.events.filter((event) => event.kind === 'message')
}

function anyMessage(room: Room): Foretold | undefined {
  // The latest ones mostly.
  const all = messages(room)
  const list = room.dice.chance(80) ? all.slice(-10) : all
  return list.length === 0 ? undefined : room.dice.pick(list)
}

function drawOnMessage(
  room: Room,
  kind: 'edit' | 'delete' | 'react',
  by: string,
): Attempt | undefined {
  const { dice, model } = room
  const message = anyMessage(room)
  if (message === undefined) return undefined
  let target = message.id as string
  if (dice.chance(3)) target = uuid7()
  if (dice.chance(3)) target = dice.pick(model.events).id ?? target
  // Most edit and delete what is theirs.
  const own = kind !== 'react' && dice.chance(70) ? message.sender : by
  const common = { id: uuid7(), target }
  const command: Command =
    kind === 'edit'
      ? { type: 'edit', ...common, body: drawBody(room) }
      : kind === 'delete'
        ? { type: 'delete', ...common }
        : { type: 'react', ...common, emoji: dice.pick(emojis) }
  if (command.type === 'react' && dice.chance(30)) command.remove = true
  return { by: own, command, overRest: false }
}

function drawOnMembers(
  room: Room,
  kind: (typeof memberKinds)[number],
  by: string,
): Attempt | undefined {
  const { dice, model } = room
  const who = dice.chance(80) ? (anyOwner(room) ?? by) : by
  const over = (command: Command): Attempt => ({ by: who, command, overRest: true })
  switch (kind) {
    case 'title':
      return over({ type: 'title', title: `${model.events.length} ${dice.pick(titles)}` })
    case 'add': {
      const outside = room.cast.map((p) => p.id).filter((user) => !model.members.has(user))
      const users = outside.length > 0 && dice.chance(90) ? outside : [anyoneOfCast(room)]
      const add: Command = { type: 'add', users: dice.shuffled(users).slice(0, 2) }
      return over(dice.chance(50) ? { ...add, id: uuid7() } : add)
    }
    case 'role':
      return over({ type: 'role', user: anyoneOfCast(room), role: dice.pick(roles) })
    case 'remove': {
      const user = anyoneOfCast(room)
      return user === who ? undefined : over({ type: 'remove', user })
    }
    case 'leave':
      // Where the last one leaves, the contract says nothing.
      if (model.members.size < 2) return undefined
      return { by, command: { type: 'remove', user: by }, overRest: true }
  }
}

function anyOwner({ model, dice }: Room): string | undefined {
  const owners = [...model.members].filter(([, { role }]) => role === 'owner')
  return owners.length === 0 ? undefined : dice.pick(owners.map(([user]) => user).sort())
}
