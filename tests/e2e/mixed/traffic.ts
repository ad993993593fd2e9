import { setTimeout as delay } from 'node:timers/promises'
import { eventually } from '../harness/deadline.ts'
import type { History, Kind } from '../model/contract.ts'
import type { Players } from './players.ts'
import { openRoom, type Room } from './room.ts'
import { type Dice, diceOf } from './seeds.ts'
import { step } from './steps.ts'

/** Rooms of every kind over a pool of users; `castSize` users each, two for a direct one and one who stays outside. */
export async function openRooms(
  players: Players,
  { count, castSize, seed }: { count: number; castSize: number; seed: number },
): Promise<Room[]> {
  const rooms: Room[] = []
  const taken = new Set<string>()
  for (let n = 0; n < count; n++) {
    const dice = diceOf(seed, n)
    let kind: Kind = dice.weighted({ group: 60, channel: 25, direct: 15 })
    const history: History = kind !== 'direct' && dice.chance(50) ? 'joined' : 'all'
    const cast = dice.shuffled(players.people).slice(0, castSize)
    const pair = cast
      .slice(0, 2)
      .map((person) => person.id)
      .sort()
      .join()
    if (kind === 'direct' && taken.has(pair)) kind = 'group'
    if (kind === 'direct') taken.add(pair)
    const plan = { kind, history, cast, members: kind === 'direct' ? 2 : Math.min(3, castSize) }
    const title = kind !== 'direct' && dice.chance(50) ? { title: `room ${n}` } : {}
    rooms.push(await openRoom(players, { ...plan, ...title }, dice))
  }
  return rooms
}

export interface Run {
  steps: number
  /** Stops the rooms after their present step. */
  stop(): void
  /** Resolves when every room has come to its end; rejects at the first thing that differs. */
  readonly done: Promise<void>
}

/**
 * Every room takes `stepsEach` steps, one after the other, beside all others; no more than `stepsPerSecond` in all where that
 * is given, so that a long run doesn't take the machine from whatever else is on it.
 */
export function runRooms(
  rooms: readonly Room[],
  stepsEach: number,
  stepsPerSecond = Number.POSITIVE_INFINITY,
): Run {
  let stopped = false
  const run = {
    steps: 0,
    stop() {
      stopped = true
    },
    done: Promise.resolve(),
  }
  const paceMs = (rooms.length * 1_000) / stepsPerSecond
  const walk = async (room: Room, place: number) => {
    const beganAt = performance.now() + (paceMs * place) / rooms.length
    for (let i = 0; i < stepsEach && !stopped; i++) {
      const aheadMs = beganAt + i * paceMs - performance.now()
      if (paceMs > 0 && aheadMs > 0) await delay(aheadMs)
      if (stopped) return
      try {
        await step(room)
      } catch (error) {
        stopped = true
        const { id, kind, history } = room.model
        const lately = room.lately.join('\n')
        throw new Error(`${kind} ${id} (${history}): ${error}\n${lately}`, { cause: error })
      }
      run.steps += 1
    }
  }
  run.done = Promise.all(rooms.map(walk)).then(() => {})
  return run
}

/** While the rooms run, devices go offline and come back; of each user one stays. */
export async function changeWeather(players: Players, run: Run, dice: Dice): Promise<number> {
  let outages = 0
  let running = true
  const ended = run.done.then(
    () => {
      running = false
    },
    () => {
      running = false
    },
  )
  const stepsMore = (count: number) => {
    const goal = run.steps + count
    return eventually('more steps', () => !running || run.steps >= goal, { deadlineMs: 60_000 })
  }
  while (running) {
    const devices = players.devicesOf(dice.pick(players.people).id)
    if (devices.every((device) => device.isOnline)) {
      const device = dice.pick(devices)
      await device.disconnect()
      await stepsMore(dice.integer(1, 60))
      await players.connect(device)
      outages += 1
    }
    await stepsMore(dice.integer(1, 20))
  }
  await ended
  return outages
}

/** What was done in all rooms, by name. */
export function countsOf(rooms: readonly Room[]): Record<string, number> {
  const counts: Record<string, number> = {
    events: rooms.reduce((sum, { model }) => sum + model.events.length, 0),
  }
  for (const room of rooms) {
    for (const [what, count] of room.counts) counts[what] = (counts[what] ?? 0) + count
  }
  return counts
}
