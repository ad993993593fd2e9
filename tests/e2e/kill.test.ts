import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from './harness/deadline.ts'
import { type Ack, type EventFrame, subprotocols } from './harness/frames.ts'
import { canonical, liveEvents, restEvents, restEventsTo, syncedEvents } from './harness/history.ts'
import { uuid7 } from './harness/ids.ts'
import { type Connected, type Person, type World, worldOf } from './harness/people.ts'
import { seededRandom } from './harness/random.ts'
import type { Stack } from './harness/stack.ts'
import { startStandalone } from './harness/standalone-server.ts'

/**
 * `kill -9` of the whole process tree while 20 connections send 2,000 messages, five times on the same data.
 * After each: [G1] every acked id is in history exactly once, [G3] seqs are 1..N and all readers agree, [G4] what was
 * shown live is there, [G2] a resend of an acked id gets its first seq.
 */

const rounds = 5
const senders = 20
const messagesEach = 100
const unacknowledged = 8

let stack: Stack
let world: World
let people: Person[]
let conversations: string[]

beforeAll(async () => {
  stack = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
  world = worldOf(stack)
  people = await world.registerMany(senders)
  const [owner, ...others] = people as [Person, ...Person[]]
  // Several, so that they stand in several partitions.
  conversations = []
  for (let i = 0; i < 4; i++) conversations.push(await world.group(owner, others))
}, 120_000)
afterAll(() => stack?.dispose())

interface Message {
  id: string
  conversation: string
  sender: number
  text: string
  ack?: Ack
}

function newMessages(round: number): Message[][] {
  return people.map((_, sender) =>
    Array.from({ length: messagesEach }, (_unused, i) => ({
      id: uuid7(),
      conversation: conversations[(sender + i) % conversations.length] as string,
      sender,
      text: `round ${round}, sender ${sender}, message ${i}`,
    })),
  )
}

function connectAll(): Promise<Connected[]> {
  return Promise.all(people.map((p, i) => world.connect(p, subprotocols[i % subprotocols.length])))
}

/** Sends a connection's messages, several unanswered at a time, until all are acked or the link is gone. */
async function sendAll(socket: Connected, messages: Message[], onAck: () => void, retry: boolean) {
  const waiting = [...messages]
  const worker = async () => {
    for (let message = waiting.shift(); message; message = waiting.shift()) {
      const { id, conversation, text } = message
      const answer = await socket.send(conversation, { text }, retry ? { id, retry } : { id })
      if (answer.type !== 'ack') throw new Error(`refused: ${JSON.stringify(answer)}`)
      onAckOf(message, answer)
      onAck()
    }
  }
  await Promise.all(Array.from({ length: unacknowledged }, worker))
}

function onAckOf(message: Message, ack: Ack) {
  if (message.ack !== undefined) {
    expect(ack, `a resend of ${message.text}`).toMatchObject({
      seq: message.ack.seq,
      at: message.ack.at,
      duplicate: true,
    })
  }
  message.ack ??= ack
}

function expectOneOrder(events: EventFrame[]) {
  expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1))
  expect(new Set(events.map((e) => e.id)).size, 'no id twice').toBe(events.length)
  for (let i = 1; i < events.length; i++) {
    expect((events[i] as EventFrame).at).toBeGreaterThanOrEqual((events[i - 1] as EventFrame).at)
  }
}

function expectAcked(events: EventFrame[], messages: Message[]) {
  const bySeq = new Map(events.map((e) => [e.seq, e]))
  for (const { ack, text, id } of messages) {
    if (ack === undefined) continue
    expect(bySeq.get(ack.seq)).toMatchObject({ id, at: ack.at, body: { text } })
  }
}

const random = seededRandom('kill -9')
const all: Message[] = []

test.each(Array.from({ length: rounds }, (_, i) => i + 1))(
  '[G1][G2][G3][G4] [S1] round %i',
  async (round) => {
    const byConnection = newMessages(round)
    const messages = byConnection.flat()
    all.push(...messages)
    const sockets = await connectAll()
    const killAfterAcks = random.integer(1, messages.length - 1)
    let acks = 0
    let killed: Promise<void> | undefined
    const sent = sockets.map((socket, i) =>
      sendAll(
        socket,
        byConnection[i] as Message[],
        () => {
          acks += 1
          if (acks === killAfterAcks) killed = stack.kill()
        },
        false,
      ),
    )
    const results = await Promise.allSettled(sent)
    await killed
    const refused = results.flatMap((r) => (r.status === 'rejected' ? [String(r.reason)] : []))
    expect(refused.filter((reason) => !/link closed|not open/.test(reason))).toEqual([])
    const acked = messages.filter((m) => m.ack !== undefined)
    console.log(`round ${round}: killed at ack ${killAfterAcks}, ${acked.length} were acked`)

    await stack.restart()
    const live = conversations.map((id) => sockets.map((socket) => liveEvents(socket, id)))
    await expectStored(live)
    await resendAll(byConnection)
    await expectAllReadersAgree()
  },
  240_000,
)

/** Before anything is resent: all that was acked or shown before the crash is there. */
async function expectStored(live: EventFrame[][][]) {
  const reader = people[0] as Person
  for (const [i, conversation] of conversations.entries()) {
    const messages = all.filter((m) => m.conversation === conversation)
    const shown = (live[i] as EventFrame[][]).flat()
    const head = Math.max(
      ...messages.map((m) => m.ack?.seq ?? 0),
      ...shown.map((event) => event.seq),
    )
    const events = await restEventsTo(world, reader, conversation, head)
    expectOneOrder(events)
    expectAcked(events, messages)
    for (const event of shown) {
      expect(canonical(event)).toBe(canonical(events[event.seq - 1] as EventFrame))
    }
  }
}

/** Every id of the round again, with the hint and without it. */
async function resendAll(byConnection: Message[][]) {
  const sockets = await connectAll()
  const none = () => {}
  await Promise.all(
    sockets.map((socket, i) => sendAll(socket, byConnection[i] as Message[], none, i % 3 === 0)),
  )
  await Promise.all(sockets.map((socket) => socket.close()))
}

async function expectAllReadersAgree() {
  const sockets = await Promise.all(
    subprotocols.map((protocol, i) => world.connect(people[i] as Person, protocol)),
  )
  for (const conversation of conversations) {
    const messages = all.filter((m) => m.conversation === conversation)
    const length = messages.length + 1
    const events = await restEventsTo(world, people[0] as Person, conversation, length)
    expect(events).toHaveLength(length)
    expectOneOrder(events)
    expectAcked(events, messages)
    const expected = events.map(canonical)
    for (const socket of sockets) {
      const synced = await eventually('sync answers', () => syncedEvents(socket, conversation))
      expect(synced.map(canonical)).toEqual(expected)
    }
    for (const person of people.slice(1)) {
      const read = await restEvents(world, person, conversation)
      expect(read.map(canonical)).toEqual(expected)
    }
  }
  await Promise.all(sockets.map((socket) => socket.close()))
}
