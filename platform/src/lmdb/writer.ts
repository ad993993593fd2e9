import type { Root } from './log-file.ts'
import { createWriteQueue, type Waiting } from './write-queue.ts'

/**
 * One transaction at a time, each holding everything that waits: group commit. The file is opened without
 * `overlappingSync` (see `log-file.ts`), so a transaction's promise resolves after fdatasync of its pages and a
 * synchronous write of the page that makes them valid.
 */
export interface Writer {
  /** Takes a write in, in order. Rejects at once, with nothing written, when too much waits or the log is closed. */
  submit(write: Write): Promise<void>
  /** Resolves when everything taken in has settled. Rejects after `commitTimeoutMs` without an answer from the disk. */
  close(): Promise<void>
}

export interface Write {
  /** Appends are told apart so that a trim still succeeds when appends no longer fit on the disk. */
  readonly kind: 'append' | 'upkeep'
  /** What this write holds in memory, counted against `maxPendingBytes`. */
  readonly bytes: number
  /** Queues the changes in LMDB; each promise says whether the change was made. */
  put(): Promise<boolean>[]
  /** Called once the changes are durable and before `submit` resolves, in the order of `submit`. */
  done(): void
  /** Called when the changes of a failed or dropped write must be looked up: they are there or not. */
  recover(): void
}

export interface WriterLimits {
  /** How much may wait for the disk; beyond it `submit` rejects. */
  maxPendingBytes: number
  maxPendingWrites: number
  /** A transaction takes no further write once it holds this much. */
  maxTransactionBytes: number
  commitTimeoutMs: number
}

export function createWriter(root: Root, limits: WriterLimits): Writer {
  const queue = createWriteQueue(limits)
  let running: Promise<void> | null = null
  let stalled = false
  let closed = false
  const noAnswer = `the disk has not answered for ${limits.commitTimeoutMs} ms`

  function refusal(write: Write): string | null {
    if (closed) return 'the log is closed'
    return stalled ? noAnswer : queue.fullFor(write)
  }

  async function runOne(batch: Waiting[]): Promise<void> {
    const committed = commit(root, batch)
    const error = await within(committed, limits.commitTimeoutMs)
    if (error === null) return queue.settle(batch, null)
    if (error === 'late') {
      stalled = true
      const unknown = new Error(`${noAnswer}: unknown whether this was written`)
      const dropped = [...batch, ...queue.takeAll()]
      queue.settle(dropped, unknown)
      await committed
      stalled = false
      return recover(dropped)
    }
    recover(batch)
    const upkeep = batch.filter(({ write }) => write.kind === 'upkeep')
    const appends = batch.filter(({ write }) => write.kind === 'append')
    queue.settle(appends, error)
    if (appends.length > 0 && upkeep.length > 0) await runOne(upkeep)
    else queue.settle(upkeep, error)
  }

  async function run(): Promise<void> {
    // What else arrives in this turn of the event loop joins the first transaction.
    await new Promise(setImmediate)
    while (!queue.empty) await runOne(queue.take())
    running = null
  }

  return {
    submit(write) {
      const reason = refusal(write)
      if (reason !== null) return Promise.reject(new Error(`nothing was written: ${reason}`))
      return new Promise((resolve, reject) => {
        queue.push({ write, resolve, reject })
        running ??= run()
      })
    },
    async close() {
      closed = true
      if (running === null) return
      if ((await within(running, limits.commitTimeoutMs)) !== 'late') return
      throw new Error(
        `the log was left open: no answer from the disk for ${limits.commitTimeoutMs} ms`,
      )
    },
  }
}

function recover(batch: readonly Waiting[]): void {
  for (const { write } of batch) write.recover()
}

/** Null when durable, else why not; never rejects. */
async function commit(root: Root, batch: Waiting[]): Promise<Error | null> {
  const changes: Promise<boolean>[] = []
  try {
    const whole = root.batch(() => {
      for (const { write } of batch) changes.push(...write.put())
    })
    await whole
    const made = await Promise.all(changes)
    if (made.includes(false)) return new Error('an offset was already taken in the file')
    return null
  } catch (error) {
    await Promise.allSettled(changes)
    return await causeOf(error)
  }
}

/** lmdb-js hides the cause behind a promise of its own, which must be awaited lest it count as unhandled. */
async function causeOf(error: unknown): Promise<Error> {
  if (error instanceof Error && 'commitError' in error) {
    try {
      await error.commitError
    } catch (cause) {
      return new Error(`the disk refused the write: ${(cause as Error).message}`, { cause })
    }
  }
  return error instanceof Error ? error : new Error(String(error))
}

async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, 'late')
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
