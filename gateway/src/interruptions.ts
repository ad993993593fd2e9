const firstRetryMs = 250
const longestRetryMs = 5_000

/**
 * What to do when publishes may have been missed: everything is checked at once, and once more a little later, since what
 * was missed may not have been stored yet. [G7] Who could not be checked is tried again until it could.
 */
export function createInterruptions(parts: {
  /** The users that are connected here. */
  users: () => string[]
  /** Returns who could not be checked. */
  check: (users: readonly string[]) => Promise<string[]>
  /** Whatever else is to be asked again. */
  onStart: () => void
  secondMs: number
}) {
  const unchecked = new Set<string>()
  let second: NodeJS.Timeout | undefined
  let retry: NodeJS.Timeout | undefined
  let running = false
  let retryMs = firstRetryMs
  let stopped = false

  /** Users asked for while it runs are in the next round. */
  async function run(): Promise<void> {
    if (running || stopped) return
    running = true
    clearTimeout(retry)
    const ids = [...unchecked]
    unchecked.clear()
    const failed = await parts.check(ids).catch(() => ids)
    running = false
    for (const id of failed) unchecked.add(id)
    if (failed.length === 0) {
      retryMs = firstRetryMs
      if (unchecked.size > 0) void run()
      return
    }
    retry = setTimeout(() => void run(), retryMs)
    retry.unref()
    retryMs = Math.min(retryMs * 2, longestRetryMs)
  }

  function checkAll(): void {
    parts.onStart()
    for (const id of parts.users()) unchecked.add(id)
    void run()
  }

  return {
    /** Publishes may have been missed. */
    start() {
      checkAll()
      clearTimeout(second)
      second = setTimeout(checkAll, parts.secondMs)
      second.unref()
    },
    stop() {
      stopped = true
      clearTimeout(second)
      clearTimeout(retry)
    },
  }
}
