import { setTimeout as delay } from 'node:timers/promises'

/** Polls `check` until it returns something other than undefined or false; throws what it last threw, or that it never held. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  { deadlineMs = 10_000, everyMs = 25 }: { deadlineMs?: number; everyMs?: number } = {},
): Promise<T> {
  const end = performance.now() + deadlineMs
  let last: unknown
  for (;;) {
    try {
      const value = await check()
      if (value !== undefined && value !== false) return value
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() > end) {
      const reason = last instanceof Error ? `: ${last.message}` : ''
      throw new Error(`not within ${deadlineMs} ms: ${what}${reason}`, { cause: last })
    }
    await delay(everyMs)
  }
}

/** Rejects when `promise` has not settled in time. */
export async function within<T>(what: string, deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${deadlineMs} ms: ${what}`)), deadlineMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
