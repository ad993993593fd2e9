import { eventually } from '../harness/deadline.ts'
import { type EventFrame, subprotocols } from '../harness/frames.ts'
import { asRead, differenceFrom, mayHaveSeen } from '../model/seen.ts'
import { createDevice, type Device } from './device.ts'
import type { Players } from './players.ts'
import { expectDetail, expectListEntry, expectMessages, expectPage } from './reading.ts'
import type { Room } from './room.ts'

/** [Y6] From its link being able to carry it; twice that, for a machine that is busy. */
const toldMs = 10_000

/**
 * At the end, when nothing runs any more: each device's view by itself becomes the model's view for its user, nothing
 * was seen from outside, REST and a new device show the same.
 */
export async function expectAllAgree(players: Players, rooms: readonly Room[]): Promise<void> {
  for (const room of rooms) {
    await Promise.all(players.devices.map((device) => expectWholeView(device, room)))
  }
  for (const device of players.devices) {
    for (const room of rooms) expectView(device, room)
  }
  await forEachAFew(rooms, expectPresentState)
  await expectNewDevices(players, rooms)
  const faults = players.faults()
  if (faults.length > 0) throw new Error(faults.slice(0, 20).join('\n'))
}

async function expectPresentState(room: Room): Promise<void> {
  for (const { id: user } of room.cast) {
    await expectDetail(room, user)
    await expectListEntry(room, user)
    if (room.model.members.has(user)) await expectMessages(room, user)
  }
}

const atOnce = 8

async function forEachAFew<T>(list: readonly T[], work: (entry: T) => Promise<void>) {
  const rest = [...list]
  const worker = async () => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) await work(next)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

/** Waits until the device holds all there is to see; it pulls only what it was told of. */
function expectWholeView(device: Device, { model }: Room): Promise<unknown> {
  const isMember = model.members.has(device.person.id)
  return eventually(
    `${device.name} (${device.protocol}) knows ${model.id} ${isMember ? 'whole' : 'as left'}`,
    () => {
      const view = device.view.conversations.get(model.id)
      if (!isMember) return view === undefined || !view.member
      if (view?.member !== true) throw new Error('it does not know that it is a member')
      const held = device.view.contiguous(model.id)
      if (held < model.events.length) throw new Error(`it has ${held} of ${model.events.length}`)
      return true
    },
    { deadlineMs: toldMs },
  )
}

/** Every event a device was ever shown of a conversation is the model's, and was its user's to see. */
function expectView(device: Device, { model }: Room): void {
  const view = device.view.conversations.get(model.id)
  const user = device.person.id
  const who = `${device.name} (${device.protocol}) in ${model.id}`
  for (const event of view?.events.values() ?? []) {
    if (!mayHaveSeen(model, user, event.seq))
      throw new Error(`${who} saw ${event.seq} from outside`)
    expectShown(model, event, who)
  }
  const member = model.members.get(user)
  if (member !== undefined && view?.from !== member.from) {
    throw new Error(`${who}: from ${view?.from}, not ${member.from}`)
  }
}

/** As it was when it came, or as it is since its message was deleted. */
function expectShown(model: Room['model'], event: EventFrame, who: string): void {
  const foretold = model.events[event.seq - 1]
  if (foretold === undefined) throw new Error(`${who}: nobody asked for ${JSON.stringify(event)}`)
  const whole = differenceFrom(model, { ...foretold }, event)
  if (whole === undefined) return
  const deleted = asRead(model, foretold, model.events.length)
  if (differenceFrom(model, { ...deleted }, event) !== undefined)
    throw new Error(`${who}: ${whole}`)
}

/** A device that comes with nothing is told everything, in `welcome` and by `sync`. */
async function expectNewDevices(players: Players, rooms: readonly Room[]): Promise<void> {
  await forEachAFew([...players.people.entries()], async ([n, person]) => {
    const protocol = subprotocols[n % 2] as (typeof subprotocols)[number]
    const device = createDevice(`user ${n} new device`, person, protocol)
    const welcome = await players.welcome(device)
    const got = welcome.conversations.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    const own = rooms.filter(({ model }) => model.members.has(person.id))
    const wanted = own
      .map(({ model }) => {
        const { from, read } = model.members.get(person.id) as { from: number; read: number }
        return { id: model.id, head: model.events.length, from, read }
      })
      .sort((a, b) => (a.id < b.id ? -1 : 1))
    if (JSON.stringify(got) !== JSON.stringify(wanted)) {
      throw new Error(
        `welcome of ${person.id}: ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`,
      )
    }
    for (const room of own) await expectHistory(room, device)
    const faults = device.view.faults
    await device.disconnect()
    if (faults.length > 0) throw new Error(faults.join('\n'))
  })
}

async function expectHistory(room: Room, device: Device): Promise<void> {
  const user = device.person.id
  for (let after = 0; ; ) {
    const page = await device.syncUntilAnswered(room.model.id, after, 500)
    if (page === 'lost' || page.type === 'error') throw new Error(JSON.stringify(page))
    if (page.head !== room.model.events.length) throw new Error(`head ${page.head} at the end`)
    expectPage(room, user, { page, after, limit: 500 })
    if (!page.more) return
    after = page.events.at(-1)?.seq ?? after
  }
}
