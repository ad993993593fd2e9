import { randomInt } from 'node:crypto'
import type { Random } from '../harness/random.ts'

/** The seed of a run: `SEED` when set, else a new one. Printed, so that the run can be repeated. */
export function seedOf(name: string): number {
  const seed = Number(process.env.SEED ?? randomInt(2 ** 31))
  if (!Number.isSafeInteger(seed)) throw new Error('SEED must be an integer')
  console.log(`${name}: SEED=${seed}`)
  return seed
}

export interface Dice extends Random {
  /** True `percent` times of a hundred. */
  chance(percent: number): boolean
  /** One of the names, by their weights. */
  weighted<T extends string>(weights: Readonly<Record<T, number>>): T
  shuffled<T>(list: readonly T[]): T[]
}

/** A row of numbers of its own for each `part` of a run (mulberry32, public domain, by Tommy Ettinger). */
export function diceOf(seed: number, part: number): Dice {
  let state = (seed ^ Math.imul(part + 1, 0x9e3779b1)) >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const integer = (from: number, to: number) => from + Math.floor(next() * (to - from + 1))
  const pick = <T>(list: readonly T[]): T => {
    if (list.length === 0) throw new Error('nothing to pick from')
    return list[integer(0, list.length - 1)] as T
  }
  return {
    seed,
    integer,
    pick,
    chance: (percent) => next() * 100 < percent,
    weighted<T extends string>(weights: Readonly<Record<T, number>>) {
      const entries = Object.entries(weights) as [T, number][]
      let left = next() * entries.reduce((sum, [, weight]) => sum + weight, 0)
      for (const [name, weight] of entries) {
        left -= weight
        if (left < 0) return name
      }
      return (entries.at(-1) as [T, number])[0]
    },
    shuffled(list) {
      const rest = [...list]
      return list.map(() => rest.splice(integer(0, rest.length - 1), 1)[0] as never)
    },
  }
}
