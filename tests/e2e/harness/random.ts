import { randomInt } from 'node:crypto'

/** Numbers that a printed seed repeats (mulberry32, public domain, by Tommy Ettinger). */
export interface Random {
  readonly seed: number
  /** An integer from `from` up to and including `to`. */
  integer(from: number, to: number): number
  pick<T>(list: readonly T[]): T
}

/** The seed is `PARLEY_TEST_SEED` when set; it is printed, so that a failure can be run again. */
export function seededRandom(name: string): Random {
  const seed = Number(process.env.PARLEY_TEST_SEED ?? randomInt(2 ** 31))
  console.log(`${name}: PARLEY_TEST_SEED=${seed}`)
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const integer = (from: number, to: number) => from + Math.floor(next() * (to - from + 1))
  return {
    seed,
    integer,
    pick: (list) => {
      const item = list[integer(0, list.length - 1)]
      if (item === undefined) throw new Error('nothing to pick from')
      return item
    },
  }
}
