import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { within } from '../harness/deadline.ts'
import type { Subprotocol } from '../harness/frames.ts'
import { liveEvents } from '../harness/history.ts'
import { type Connected, type Person, type World, worldOf } from '../harness/people.ts'
import type { SocketClient } from '../harness/socket-client.ts'
import { startStandalone } from '../harness/standalone-server.ts'

/** A server on which mallory misbehaves while two neighbours chat and never notice. */
export interface Neighbourhood {
  readonly world: World
  readonly wsUrl: string
  readonly mallory: Person
  /** A conversation that mallory owns. */
  readonly ownPlace: string
  /** Where the neighbours chat; mallory is no member. */
  readonly foreignPlace: string
  connect(protocol: Subprotocol): Promise<Connected>
}

/** Sets up for a test file; the neighbours speak after each test and are checked at the end. */
export function setUpNeighbourhood(): () => Neighbourhood {
  let neighbourhood: Neighbourhood | undefined
  let neighbours: Connected[] = []
  let dispose = async () => {}

  beforeAll(async () => {
    const stack = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
    dispose = () => stack.dispose()
    const world = worldOf(stack)
    const [mallory, a, b] = (await world.registerMany(3)) as [Person, Person, Person]
    neighbourhood = {
      world,
      wsUrl: stack.wsUrls[0] as string,
      mallory,
      ownPlace: await world.group(mallory, [a]),
      foreignPlace: await world.group(a, [b]),
      connect: (protocol) => world.connect(mallory, protocol),
    }
    neighbours = [
      await world.connect(a, 'parley.v1.json'),
      await world.connect(b, 'parley.v1.msgpack'),
    ]
  }, 90_000)

  afterEach(async () => {
    const [a, b] = neighbours as [Connected, Connected]
    const { foreignPlace } = neighbourhood as Neighbourhood
    const { seq } = await a.say(foreignPlace, 'all well?')
    await b.wait('event', (e) => e.conversation === foreignPlace && e.seq === seq)
    await b.say(foreignPlace, 'all well')
  })

  afterAll(async () => {
    try {
      for (const neighbour of neighbours) {
        expect(neighbour.isOpen, 'the neighbours never noticed').toBe(true)
        const disturbed = neighbour.journal.filter((f) => f.type === 'error' || f.type === 'gap')
        expect(disturbed).toEqual([])
        const place = neighbourhood?.foreignPlace as string
        const seqs = liveEvents(neighbour, place).map((e) => e.seq)
        expect(seqs).toEqual(seqs.map((_, i) => i + 2))
      }
    } finally {
      await dispose()
    }
  })

  return () => {
    if (neighbourhood === undefined) throw new Error('the server did not start')
    return neighbourhood
  }
}

/** The documented error, then the documented close. */
export async function expectClose(socket: SocketClient, code: string, close: number) {
  const error = await socket.wait('error', (f) => f.code === code)
  expect(error.retryable).toBe(false)
  expect(error.message).not.toBe('')
  expect((await within('the link closes', 10_000, socket.closed)).code).toBe(close)
}

/** The documented error, and a link that goes on. */
export async function expectStays(socket: SocketClient, code: string) {
  const error = await socket.wait('error', (f) => f.code === code)
  expect(error.retryable).toBe(false)
  await socket.ping()
  await socket.close()
}
