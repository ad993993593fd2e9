/** Lets so many pieces of work run at once and so many wait; further ones are turned away. */
export interface Gate {
  /** Null when the gate is full. Rejects as the work does. */
  enter<T>(work: () => Promise<T>): Promise<T> | null
}

export function createGate(bounds: { running: number; waiting: number }): Gate {
  let running = 0
  const waiting: (() => void)[] = []

  async function run<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }

  return {
    enter(work) {
      if (running < bounds.running) {
        running += 1
        return run(work)
      }
      if (waiting.length >= bounds.waiting) return null
      return new Promise<void>((resolve) => waiting.push(resolve)).then(() => run(work))
    },
  }
}
