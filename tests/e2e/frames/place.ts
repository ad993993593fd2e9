import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import type { Subprotocol } from '../harness/frames.ts'
import { uuid7 } from '../harness/ids.ts'
import { type Person, type World, worldOf } from '../harness/people.ts'
import type { Stack } from '../harness/stack.ts'
import { startStandalone } from '../harness/standalone-server.ts'
import { type BareSocket, openBareSocket } from './bare-socket.ts'
import type { Fields } from './table.ts'

/** A server, three users who know each other and one whom nobody knows. */
export interface Place {
  readonly stack: Stack
  readonly world: World
  readonly ann: Person
  readonly ben: Person
  readonly cleo: Person
  readonly stranger: Person
  /** Opened without a hello. */
  open(protocol: Subprotocol): Promise<BareSocket>
  /** Said hello and got its welcome. */
  connect(person: Person, protocol: Subprotocol, hello?: Fields): Promise<BareSocket>
}

/** After each test every socket it opened is closed, and had nothing that the table does not have. */
export function setUpPlace(): () => Place {
  let place: Place | undefined
  let sockets: BareSocket[] = []

  beforeAll(async () => {
    const stack = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
    const world = worldOf(stack)
    const people = (await world.registerMany(4)) as [Person, Person, Person, Person]
    const [ann, ben, cleo, stranger] = people
    const open: Place['open'] = async (protocol) => {
      const socket = await openBareSocket(stack.wsUrls[0] as string, protocol)
      sockets.push(socket)
      return socket
    }
    place = {
      stack,
      world,
      ann,
      ben,
      cleo,
      stranger,
      open,
      async connect(person, protocol, hello = {}) {
        const socket = await open(protocol)
        const { accessToken: token } = person
        await socket.ask({ type: 'hello', token, device: uuid7(), ...hello }, 'welcome')
        return socket
      },
    }
  }, 90_000)

  afterEach(async () => {
    const flaws = sockets.flatMap((socket) => socket.flaws)
    await Promise.all(sockets.map((socket) => socket.close()))
    sockets = []
    expect(flaws).toEqual([])
  })
  afterAll(() => place?.stack.dispose())

  return () => {
    if (place === undefined) throw new Error('the server did not start')
    return place
  }
}

/** The link still answers, and came this far: whatever was sent before has been handled. */
export async function expectAlive(socket: BareSocket): Promise<void> {
  const ref = uuid7()
  socket.post({ type: 'ping', ref })
  await socket.wait('pong', (f) => f.ref === ref)
}

/** A message of `socket`'s user, acked: its id and seq. */
export async function say(socket: BareSocket, conversation: string, text = 'hi') {
  const id = uuid7()
  socket.post({ type: 'send', id, conversation, body: { text } })
  const { fields } = await socket.wait('ack', (f) => f.id === id)
  return { id, seq: fields.seq as number, at: fields.at as number }
}
