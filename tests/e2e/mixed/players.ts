import { eventually } from '../harness/deadline.ts'
import { subprotocols, type Welcome } from '../harness/frames.ts'
import type { CallOptions, Method, RawAnswer } from '../harness/http-client.ts'
import type { Person, World } from '../harness/people.ts'
import type { Stack } from '../harness/stack.ts'
import { createDevice, type Device, lost } from './device.ts'
import type { Dice } from './seeds.ts'

/** Users with two devices each, one on each subprotocol. */
export interface Players {
  readonly world: World
  readonly people: readonly Person[]
  readonly devices: readonly Device[]
  personOf(user: string): Person
  devicesOf(user: string): readonly Device[]
  /** One that is online, waiting for it if need be; `which` names the only one that will do. */
  onlineDeviceOf(user: string, dice: Dice, which?: number): Promise<Device>
  /** Connects any device, one of the players' or not. */
  welcome(device: Device): Promise<Welcome>
  connect(device: Device): Promise<void>
  connectAll(): Promise<void>
  disconnectAll(): Promise<void>
  /** One call as this user; `lost` when the link failed, so that nobody knows what became of it. */
  request(user: string, request: RestRequest): Promise<RawAnswer | typeof lost>
  /** As `request`, again and again until it is answered: for calls that may come twice. */
  untilAnswered(user: string, request: RestRequest): Promise<RawAnswer>
  /** What a server must never do, as the devices saw it. */
  faults(): string[]
}

export interface RestRequest {
  method: Method
  path: string
  body?: unknown
}

const onlineMs = 60_000

export async function gatherPlayers(stack: Stack, world: World, count: number): Promise<Players> {
  const people = await world.registerMany(count)
  const devices = people.flatMap((person, n) =>
    subprotocols.map((protocol, i) => createDevice(`user ${n} device ${i}`, person, protocol)),
  )
  const devicesOf = (user: string) => devices.filter((device) => device.person.id === user)
  const personOf = (user: string) => {
    const person = people.find((p) => p.id === user)
    if (person === undefined) throw new Error(`nobody is ${user}`)
    return person
  }
  const request: Players['request'] = async (user, { method, path, body }) => {
    const options: CallOptions = { token: personOf(user).accessToken }
    if (body !== undefined) options.body = body
    try {
      return await world.http.raw(method, path, options)
    } catch (error) {
      // fetch throws TypeError for a connection that failed.
      if (error instanceof TypeError) return lost
      throw error
    }
  }
  let links = 0
  const welcome = (device: Device) => {
    const { wsUrls } = stack
    return device.connect(wsUrls[links++ % wsUrls.length] as string)
  }
  const connect = async (device: Device) => {
    await welcome(device)
  }
  return {
    world,
    people,
    devices,
    devicesOf,
    personOf,
    onlineDeviceOf: (user, dice, which) => {
      const own = devicesOf(user)
      const preferred = which === undefined ? dice.shuffled(own) : own.slice(which, which + 1)
      return eventually(`a device of ${user} is online`, () => preferred.find((d) => d.isOnline), {
        deadlineMs: onlineMs,
      })
    },
    request,
    untilAnswered: (user, call) =>
      eventually(
        `${call.method} ${call.path} is answered`,
        async () => {
          const answer = await request(user, call)
          return answer !== lost && answer.status < 429 && answer
        },
        { deadlineMs: onlineMs },
      ),
    welcome,
    connect,
    async connectAll() {
      await Promise.all(devices.filter((device) => !device.isOnline).map(connect))
    },
    async disconnectAll() {
      await Promise.all(devices.map((device) => device.disconnect()))
    },
    faults: () => devices.flatMap((device) => device.view.faults),
  }
}
