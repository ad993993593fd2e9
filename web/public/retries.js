/** Tries again what failed and may pass: after waits that grow, each anywhere between nothing and its bound. */

const firstMs = 1_000
const lastMs = 30_000

export function createRetries() {
  /** By what was tried: `{times, timer}`. */
  const running = new Map()

  return {
    /**
     * The outcome of a try.
     * @param {string} what
     * @param {{ok: boolean, retryable?: boolean}} outcome
     * @param {() => void} again
     */
    note(what, outcome, again) {
      const { times = 0, timer } = running.get(what) ?? {}
      clearTimeout(timer)
      running.delete(what)
      if (outcome.ok || !outcome.retryable) return
      const waitMs = Math.random() * Math.min(lastMs, firstMs * 2 ** times)
      running.set(what, { times: times + 1, timer: setTimeout(again, waitMs) })
    },
    stop() {
      for (const { timer } of running.values()) clearTimeout(timer)
      running.clear()
    },
  }
}
