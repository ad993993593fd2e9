import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from './harness/deadline.ts'
import { uuid7 } from './harness/ids.ts'
import { type Person, type World, worldOf } from './harness/people.ts'
import { seededRandom } from './harness/random.ts'
import type { Stack } from './harness/stack.ts'
import { startStandalone } from './harness/standalone-server.ts'

/** Read positions over REST, and what is unread by them, through `kill -9` of the whole process tree. */

let stack: Stack
let world: World
let people: Person[]
beforeAll(async () => {
  stack = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
  world = worldOf(stack)
  people = await world.registerMany(3)
}, 120_000)
afterAll(() => stack?.dispose())

interface Listed {
  id: string
  head: number
  read: number
  unread: number
}

async function listed(person: Person, conversation: string): Promise<Listed | undefined> {
  const token = person.accessToken
  const page = await world.http.call<{ conversations: Listed[] }>('GET', '/v1/conversations', {
    token,
  })
  return page.conversations.find((c) => c.id === conversation)
}

async function say(person: Person, conversation: string): Promise<number> {
  const body = { id: uuid7(), body: { text: 'a message' } }
  const path = `/v1/conversations/${conversation}/messages`
  const { seq } = await world.http.call<{ seq: number }>('POST', path, {
    token: person.accessToken,
    body,
  })
  return seq
}

function read(person: Person, conversation: string, seq: number): Promise<{ status: number }> {
  const path = `/v1/conversations/${conversation}/read`
  return world.http.raw('PUT', path, { token: person.accessToken, body: { seq } })
}

test('[G9] [P4] positions and unread counts are what everyone did, before and after each kill', async () => {
  const random = seededRandom('read positions')
  const [owner, ...others] = people as [Person, ...Person[]]
  const conversation = await world.group(owner, others)
  /** A plain model: who sent what is at 2, 3, …; how far each has read. */
  const senders: Person[] = []
  const reads = new Map<Person, number>(people.map((p) => [p, 0]))
  const check = async () => {
    const head = 1 + senders.length
    for (const person of people) {
      const position = reads.get(person) ?? 0
      const unread = senders.filter((s, i) => s !== person && i + 2 > position).length
      await eventually(
        `${people.indexOf(person)} has read ${position} of ${head}, ${unread} unread`,
        async () => {
          const entry = await listed(person, conversation)
          return entry?.head === head && entry.read === position && entry.unread === unread
        },
      )
    }
  }
  for (let round = 0; round < 3; round++) {
    for (let step = 0; step < 20; step++) {
      const person = random.pick(people)
      if (random.integer(0, 1) === 0) {
        const seq = await say(person, conversation)
        senders.push(person)
        expect(seq).toBe(senders.length + 1)
        reads.set(person, seq)
      } else {
        const seq = random.integer(1, senders.length + 1)
        expect((await read(person, conversation, seq)).status).toBe(204)
        reads.set(person, Math.max(reads.get(person) ?? 0, seq))
      }
    }
    if (round < 2) {
      await stack.kill()
      await stack.restart()
    }
    await check()
  }
}, 180_000)

test('[G6] outside there is no position, and a removed member’s is gone', async () => {
  const [owner, member, stranger] = people as [Person, Person, Person]
  const conversation = await world.group(owner, [member])
  const seq = await say(owner, conversation)
  expect((await read(stranger, conversation, 1)).status).toBe(404)
  expect((await read(member, conversation, seq)).status).toBe(204)
  const path = `/v1/conversations/${conversation}/members`
  const token = owner.accessToken
  await world.http.raw('DELETE', `${path}/${member.id}`, { token })
  expect((await read(member, conversation, seq)).status).toBe(404)
  await world.http.raw('POST', path, { token, body: { members: [member.id] } })
  expect(await listed(member, conversation)).toMatchObject({ read: 0, unread: 1 })
  // What was read before is in the log still, and comes again.
  await stack.kill()
  await stack.restart()
  expect((await read(member, conversation, seq + 9)).status).toBe(204)
  expect(await listed(member, conversation)).toMatchObject({ read: seq + 2, unread: 0 })
  await world.http.raw('DELETE', `${path}/${member.id}`, { token })
  await world.http.raw('POST', path, { token, body: { members: [member.id] } })
  await stack.kill()
  await stack.restart()
  expect(await listed(member, conversation)).toMatchObject({ read: 0, unread: 1 })
}, 120_000)
