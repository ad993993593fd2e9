import type { Logger } from './logs.ts'

/** What a process has started, to be stopped in the opposite order. */
export interface Lifecycle {
  /**
   * `stop` is called once; after `timeoutMs` it is given up and the next one's turn comes. What is added while
   * everything is being stopped is stopped too.
   */
  add(name: string, stop: () => void | Promise<void>, timeoutMs: number): void
  /** Aborted when stopping begins, for starts that take long. */
  readonly stopping: AbortSignal
  /** Aborts `stopping` and nothing else: for a start that is still under way. */
  interrupt(): void
  /** Stops everything; false when a part failed or took too long. Later calls get the first one's answer. */
  stop(): Promise<boolean>
  /** Where stops and failures are written; before this, to stderr. */
  useLog(log: Logger): void
  readonly log: LifecycleLog
}

export type LifecycleLog = Pick<Logger, 'info' | 'error' | 'fatal' | 'flush'>

interface Part {
  name: string
  stop: () => void | Promise<void>
  timeoutMs: number
}

export function createLifecycle(): Lifecycle {
  const parts: Part[] = []
  const abort = new AbortController()
  let log: LifecycleLog = stderrLog
  let stopped: Promise<boolean> | undefined
  let over = false

  async function stopPart({ name, stop, timeoutMs }: Part): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not stopped after ${timeoutMs} ms`)), timeoutMs)
    })
    try {
      await Promise.race([Promise.resolve().then(stop), late])
      return true
    } catch (err) {
      log.error({ err, part: name }, `${name} did not stop`)
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  async function stopAll(): Promise<boolean> {
    abort.abort()
    let clean = true
    for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
      clean = (await stopPart(part)) && clean
    }
    over = true
    return clean
  }

  return {
    add(name, stop, timeoutMs) {
      const part = { name, stop, timeoutMs }
      if (over) void stopPart(part)
      else parts.push(part)
    },
    stopping: abort.signal,
    interrupt: () => abort.abort(),
    stop() {
      stopped ??= stopAll()
      return stopped
    },
    useLog(next) {
      log = next
    },
    get log() {
      return log
    },
  }
}

const stderrLog = {
  info() {},
  error: (...args: unknown[]) => print(args),
  fatal: (...args: unknown[]) => print(args),
  flush: (done: () => void) => done(),
} as unknown as LifecycleLog

function print([fields, message]: unknown[]): void {
  const { err } = (fields ?? {}) as { err?: unknown }
  const reason = err instanceof Error ? (err.stack ?? err.message) : err
  process.stderr.write(`${String(message)}${reason === undefined ? '' : `: ${String(reason)}`}\n`)
}
