import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../harness/deadline.ts'
import { uuid7 } from '../harness/ids.ts'
import { type Person, worldOf } from '../harness/people.ts'
import type { Stack } from '../harness/stack.ts'
import { startStandalone } from '../harness/standalone-server.ts'
import type { Command, History, Role } from '../model/contract.ts'
import { type Outcome, perform } from './attempts.ts'
import { expectAllAgree } from './ending.ts'
import { gatherPlayers, type Players } from './players.ts'
import { openRoom, type Room } from './room.ts'
import { type Dice, diceOf, seedOf } from './seeds.ts'

/**
 * Three users with two devices each. While all of them talk, edit, react and delete, members come, go, are removed and
 * get other roles; a device is away when its user is removed and another when it is added again. In the end every
 * device has the same view, the model's, and none saw anything from outside.
 */

let stack: Stack
let players: Players
let anna: Person
let ben: Person
let cleo: Person
const rooms: Room[] = []

beforeAll(async () => {
  stack = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
  players = await gatherPlayers(stack, worldOf(stack), 3)
  ;[anna, ben, cleo] = players.people as [Person, Person, Person]
  await players.connectAll()
}, 90_000)
afterAll(async () => {
  await players?.disconnectAll()
  await stack?.dispose()
})

test.each<History>(['all', 'joined'])(
  '[Y8][S9][G6] history `%s`: two devices of three users end with the same view',
  async (history) => {
    const seed = seedOf(`two devices, ${history}`)
    const plan = { kind: 'group', history, cast: [anna, ben, cleo], members: 2 } as const
    const room = await openRoom(players, plan, diceOf(seed, 0))
    const outcomes: Outcome[] = []
    const talk = startTalk(room, outcomes, seed)
    try {
      await changeMembers(room, outcomes, talk)
    } finally {
      await talk.end()
    }
    await room.settle(outcomes)
    const kinds = new Set(room.model.events.map((event) => event.kind))
    expect([...kinds].sort()).toEqual([
      'created',
      'delete',
      'edit',
      'joined',
      'left',
      'message',
      'reaction',
      'role',
      'updated',
    ])
    rooms.push(room)
    await expectAllAgree(players, rooms)
  },
)

interface Talk {
  /** Messages accepted so far. */
  readonly accepted: number
  /** Everybody may say some more. */
  goOn(): void
  end(): Promise<void>
}

const commandsATurn = 5

/** Everybody says something, then does something to what they said, one command after the other. */
function startTalk(room: Room, outcomes: Outcome[], seed: number): Talk {
  let talking = true
  let accepted = 0
  let turn = 1
  const speak = async (person: Person, dice: Dice) => {
    const own: string[] = []
    for (let n = 0; talking; n++) {
      const mayGoOn = () => !talking || n < turn * commandsATurn
      await eventually('the next turn', mayGoOn, { deadlineMs: 60_000, everyMs: 5 })
      if (!talking) return
      const command = drawCommand(dice, own, `${person.username} ${n}`)
      const attempt = { by: person.id, command, overRest: false }
      const outcome = await perform(players, room.model.id, attempt, dice)
      outcomes.push(outcome)
      if (outcome.state === 'refused') own.length = 0
      if (outcome.state !== 'acked') continue
      accepted += 1
      if (command.type === 'send') own.push(command.id)
    }
  }
  const speakers = players.people.map((person, n) => speak(person, diceOf(seed, 10 + n)))
  return {
    get accepted() {
      return accepted
    },
    goOn() {
      turn += 1
    },
    async end() {
      talking = false
      await Promise.all(speakers)
    },
  }
}

function drawCommand(dice: Dice, own: string[], text: string): Command {
  const common = { id: uuid7() }
  if (own.length === 0 || dice.chance(60)) return { type: 'send', ...common, body: { text } }
  const target = dice.pick(own)
  if (dice.chance(50)) return { type: 'edit', ...common, target, body: { text: `${text}, or so` } }
  if (dice.chance(60)) return { type: 'react', ...common, target, emoji: '🎉' }
  own.splice(own.indexOf(target), 1)
  return { type: 'delete', ...common, target }
}

/** Anna stays to the end and owns the place; each change is asked for when some more was said. */
async function changeMembers(room: Room, outcomes: Outcome[], talk: Talk): Promise<void> {
  const change = async (by: Person, command: Command) => {
    const goal = talk.accepted + commandsATurn - 1
    talk.goOn()
    await eventually('more is said', () => talk.accepted >= goal, { deadlineMs: 30_000 })
    const attempt = { by: by.id, command, overRest: true }
    outcomes.push(await perform(players, room.model.id, attempt, room.dice))
  }
  const add = (...people: Person[]): Command => ({ type: 'add', users: people.map((p) => p.id) })
  const remove = (person: Person): Command => ({ type: 'remove', user: person.id })
  const role = (person: Person, to: Role): Command => ({ type: 'role', user: person.id, role: to })
  const [away, alsoAway] = players.devicesOf(cleo.id) as [
    Players['devices'][0],
    Players['devices'][0],
  ]

  await change(anna, add(cleo))
  await change(cleo, remove(ben))
  await change(anna, role(cleo, 'admin'))
  await change(cleo, { type: 'title', title: 'Cleo’s' })
  await change(cleo, remove(ben))
  await change(cleo, remove(anna))
  await away.disconnect()
  await change(anna, remove(cleo))
  await change(anna, add(ben))
  await players.connect(away)
  await change(ben, add(cleo))
  await alsoAway.disconnect()
  await change(anna, add(cleo, ben))
  await change(anna, role(ben, 'owner'))
  await players.connect(alsoAway)
  await change(cleo, remove(cleo))
  await change(ben, { type: 'title', title: 'Ben’s' })
  await change(ben, add(cleo))
  await change(ben, role(cleo, 'admin'))
  await change(ben, remove(ben))
  await change(cleo, add(ben))
}
