import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Ack, type ErrorFrame, subprotocols } from './harness/frames.ts'
import { restEventsTo } from './harness/history.ts'
import { uuid7 } from './harness/ids.ts'
import { type Connected, type Person, type World, worldOf } from './harness/people.ts'
import type { SocketClient } from './harness/socket-client.ts'
import type { Stack } from './harness/stack.ts'
import { startStandalone } from './harness/standalone-server.ts'

let stack: Stack
let world: World
let ann: Person
let ben: Person

beforeAll(async () => {
  stack = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
  world = worldOf(stack)
  ;[ann, ben] = (await world.registerMany(2)) as [Person, Person]
}, 90_000)
afterAll(() => stack?.dispose())

function acked(answer: Ack | ErrorFrame): Ack {
  if (answer.type !== 'ack') throw new Error(JSON.stringify(answer))
  return answer
}

/** Puts `count` messages between, as many in flight as a connection may have. */
async function bury(socket: SocketClient, conversation: string, count: number): Promise<void> {
  for (let done = 0; done < count; done += 32) {
    const batch = Math.min(32, count - done)
    await Promise.all(
      Array.from({ length: batch }, (_, i) => socket.say(conversation, `between ${done + i}`)),
    )
  }
}

test('[G2] [S3] the same id at once on two connections gets one seq', async () => {
  const conversation = await world.group(ann, [ben])
  const sockets = await Promise.all(subprotocols.map((p) => world.connect(ann, p)))
  const seqs = new Set<number>()
  for (let round = 0; round < 100; round++) {
    const id = uuid7()
    const body = { text: `round ${round}` }
    const acks = (await Promise.all(sockets.map((s) => s.send(conversation, body, { id })))).map(
      acked,
    )
    expect(acks[0]?.seq).toBe(acks[1]?.seq)
    expect(acks[0]?.at).toBe(acks[1]?.at)
    expect(acks.filter((a) => a.duplicate === true)).toHaveLength(1)
    seqs.add((acks[0] as Ack).seq)
  }
  expect([...seqs]).toEqual(Array.from({ length: 100 }, (_, i) => i + 2))
  const events = await restEventsTo(world, ben, conversation, 101)
  expect(new Set(events.map((e) => e.id)).size).toBe(events.length)
  await Promise.all(sockets.map((s) => s.close()))
})

test('[G2] [S3] the same id with other content, or from someone else, is id_conflict', async () => {
  const conversation = await world.group(ann, [ben])
  const socket = await world.connect(ann)
  const other = await world.connect(ben, 'parley.v1.msgpack')
  const id = uuid7()
  const first = acked(await socket.send(conversation, { text: 'mine' }, { id }))
  for (const retry of [true, false]) {
    const options = { id, retry }
    for (const body of [{ text: 'changed' }, { text: 'mine', mentions: [ben.id] }]) {
      const answer = await socket.send(conversation, body, options)
      expect(answer).toMatchObject({ type: 'error', code: 'id_conflict', retryable: false, id })
    }
    const stolen = await other.send(conversation, { text: 'mine' }, options)
    expect(stolen).toMatchObject({ code: 'id_conflict' })
    const again = acked(await socket.send(conversation, { text: 'mine' }, options))
    expect(again).toMatchObject({ seq: first.seq, at: first.at, duplicate: true })
  }
  const elsewhere = await world.group(ann, [ben])
  const free = acked(await socket.send(elsewhere, { text: 'other place, same id' }, { id }))
  expect(free.duplicate ?? false).toBe(false)
  await socket.close()
  await other.close()
})

test('[R9] a resend is answered with its first seq after its sender was removed', async () => {
  const conversation = await world.group(ann, [ben])
  const socket = await world.connect(ben)
  const id = uuid7()
  const first = acked(await socket.send(conversation, { text: 'while in' }, { id }))
  await world.http.call('DELETE', `/v1/conversations/${conversation}/members/${ben.id}`, {
    token: ann.accessToken,
    expect: 204,
  })
  await socket.wait('conversation', (f) => f.change === 'removed')
  const again = await socket.send(conversation, { text: 'while in' }, { id, retry: true })
  expect(again).toMatchObject({ type: 'ack', seq: first.seq, duplicate: true })
  await socket.close()
})

interface Buried {
  conversation: string
  id: string
  body: { text: string }
  first: Ack
}

async function expectFirstSeq(socket: Connected, buried: Buried): Promise<void> {
  const { conversation, id, body, first } = buried
  for (const retry of [true, false, undefined]) {
    const options = retry === undefined ? { id } : { id, retry }
    const again = acked(await socket.send(conversation, body, options))
    expect(again).toMatchObject({ seq: first.seq, at: first.at, duplicate: true })
    const changed = await socket.send(conversation, { text: 'changed' }, options)
    expect(changed).toMatchObject({ type: 'error', code: 'id_conflict' })
  }
}

test('[R8] [S4] a resend after more than 1,024 other messages gets its first seq, after restarts too', async () => {
  const conversation = await world.group(ann, [ben])
  let socket = await world.connect(ann, 'parley.v1.msgpack')
  const buried: Buried[] = []
  // The last was made by a clock that is long behind: its id is older than all that is kept.
  for (const time of [Date.now(), Date.now() + 60_000, Date.now() - 86_400_000 * 365]) {
    const id = uuid7(time)
    const body = { text: `kept apart ${time}` }
    const first = acked(await socket.send(conversation, body, { id }))
    buried.push({ conversation, id, body, first })
  }
  await bury(socket, conversation, 1_100)
  for (const one of buried) await expectFirstSeq(socket, one)
  const late = uuid7(Date.now() - 3_600_000)
  const head = acked(await socket.send(conversation, { text: 'late but new' }, { id: late }))
  expect(head.duplicate ?? false).toBe(false)
  expect(head.seq).toBe(1 + buried.length + 1_100 + 1)

  expect(await stack.stop()).toBe(0)
  await stack.restart()
  socket = await world.connect(ann)
  for (const one of buried) await expectFirstSeq(socket, one)
  await stack.kill()
  await stack.restart()
  socket = await world.connect(ann, 'parley.v1.msgpack')
  for (const one of buried) await expectFirstSeq(socket, one)
  const next = await socket.say(conversation, 'the order goes on')
  expect(next.seq).toBe(head.seq + 1)
  const events = await restEventsTo(world, ben, conversation, next.seq)
  expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1))
  expect(new Set(events.map((e) => e.id)).size).toBe(events.length)
  await socket.close()
})
