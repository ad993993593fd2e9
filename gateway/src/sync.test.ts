import { codecFor } from '@parley/proto/codec'
import { newId } from '@parley/proto/ids'
import { beforeEach, expect, test } from 'vitest'
import { type Connection, createConnection } from './connection.ts'
import { Outbound } from './outbound.ts'
import type { RoomSink } from './reader.ts'
import { Room } from './rooms.ts'
import type { Session } from './session.ts'
import { answerSync } from './sync.ts'

const codec = codecFor('parley.v1.json')
const [ann, conversation] = [newId(), newId()]
const page = { ok: true as const, frames: [], head: 3, from: 1, more: false }
const request = { type: 'sync' as const, ref: 'r', conversation, after: 0 }
const eventBytes = 1_000

let sent: Uint8Array[]
let bufferedBytes: number
let connection: Connection
let room: Room<Connection>
let finished: number

const sink: RoomSink<Connection> = {
  deliver: () => true,
  gap: () => true,
  removed: (reader) => void reader.connection.readers.delete(conversation),
  readmitted() {},
  recheck() {},
}

beforeEach(() => {
  sent = []
  bufferedBytes = 0
  finished = 0
  const out = new Outbound({
    codec,
    link: {
      send: (message) => sent.push(message),
      bufferedBytes: () => bufferedBytes,
      cork: (write) => write(),
      end() {},
    },
    bounds: {
      eventBytes,
      ephemeralBytes: 250,
      answerBytes: 10_000,
      messageBytes: 10_000,
      lagMs: 30_000,
    },
    outlet: { writing: true, add() {} },
    now: () => 0,
    onSlow: () => expect.unreachable('too slow'),
    onWritten() {},
  })
  const session: Pick<Session, 'synced'> = { synced: () => void finished++ }
  connection = createConnection(session as Session, out)
  connection.user = ann
  room = new Room(conversation, 3, sink)
  connection.readers.set(conversation, room.join(connection, ann, 3))
})

const removal = () =>
  room.publish({
    first: 4,
    frames: [new Uint8Array([4])],
    removed: [{ seq: 4, user: ann }],
    joined: 0,
    updated: 0,
  })

/** What the client gets when this happens while its page is read. */
async function answered(meanwhile: () => void): Promise<unknown[]> {
  const directory = {
    async events() {
      meanwhile()
      return page
    },
  }
  await answerSync(directory, connection, request)
  connection.out.flush()
  expect(finished).toBe(1)
  return sent.flatMap((message) => {
    const decoded = codec.decodeServerMessage(message)
    if (!decoded.ok) throw new Error(decoded.message)
    return decoded.frames.map((one) => one.ok && one.frame)
  })
}

test('[G6] who is removed while the page is read gets `not_found` and nothing of the page', async () => {
  expect(await answered(removal)).toEqual([
    expect.objectContaining({ type: 'error', code: 'not_found', ref: 'r', retryable: false }),
  ])
})

test('who is removed and added again while the page is read gets it', async () => {
  const frames = await answered(() => {
    removal()
    connection.readers.set(conversation, room.admit(connection, ann, 5))
  })
  expect(frames).toEqual([expect.objectContaining({ type: 'synced', ref: 'r' })])
})

test('[G8] a page that would go on top of a full link is `overloaded`, to be asked for again', async () => {
  const frames = await answered(() => {
    bufferedBytes = eventBytes + 1
  })
  expect(frames).toEqual([
    expect.objectContaining({
      type: 'error',
      code: 'overloaded',
      ref: 'r',
      retryable: true,
      retryAfterMs: 1_000,
    }),
  ])
})

test('a page goes out on a link that is just not full', async () => {
  const frames = await answered(() => {
    bufferedBytes = eventBytes
  })
  expect(frames).toEqual([expect.objectContaining({ type: 'synced', ref: 'r', head: 3 })])
})

test('a link that closes while the page is read gets nothing', async () => {
  const frames = await answered(() => {
    connection.open = false
  })
  expect(frames).toEqual([])
})
