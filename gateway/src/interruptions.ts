/** Checks everything at once and once more a little later, since what was missed may not have been stored yet. */
export function createInterruptions(check: () => Promise<void>, secondMs: number) {
  let second: NodeJS.Timeout | undefined
  let running = false

  async function run(): Promise<void> {
    if (running) return
    running = true
    await check()
    running = false
  }

  return {
    /** Publishes may have been missed. */
    start() {
      void run()
      clearTimeout(second)
      second = setTimeout(() => void run(), secondMs)
      second.unref()
    },
    stop: () => clearTimeout(second),
  }
}
