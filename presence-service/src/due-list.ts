/** Keys, each with the time from which on it is due. Bounded by whoever adds. */
export interface DueList {
  readonly size: number
  /** `key` becomes due at `atMs`, or sooner where it already was to. */
  add(key: string, atMs: number): void
  /** Takes up to `limit` keys that are due, the longest due first: never before their time, at most `stepMs` after. */
  take(nowMs: number, limit: number): string[]
  /** When the next key is due; Infinity when there is none. */
  soonestMs(): number
}

/** Keys of one step of time lie together, so that adding and taking cost the same however many there are. */
export function createDueList(stepMs: number): DueList {
  const stepOf = new Map<string, number>()
  const keysOf = new Map<number, Set<string>>()

  function remove(key: string, step: number): void {
    const keys = keysOf.get(step)
    keys?.delete(key)
    if (keys?.size === 0) keysOf.delete(step)
    stepOf.delete(key)
  }

  return {
    get size() {
      return stepOf.size
    },
    add(key, atMs) {
      const step = Math.ceil(atMs / stepMs)
      const known = stepOf.get(key)
      if (known !== undefined) {
        if (known <= step) return
        remove(key, known)
      }
      stepOf.set(key, step)
      const keys = keysOf.get(step)
      if (keys === undefined) keysOf.set(step, new Set([key]))
      else keys.add(key)
    },
    take(nowMs, limit) {
      const taken: string[] = []
      const steps = [...keysOf.keys()].filter((step) => step * stepMs <= nowMs)
      for (const step of steps.sort((a, b) => a - b)) {
        for (const key of keysOf.get(step) ?? []) {
          if (taken.length >= limit) return taken
          remove(key, step)
          taken.push(key)
        }
      }
      return taken
    },
    soonestMs() {
      let soonest = Number.POSITIVE_INFINITY
      for (const step of keysOf.keys()) soonest = Math.min(soonest, step)
      return soonest * stepMs
    },
  }
}
