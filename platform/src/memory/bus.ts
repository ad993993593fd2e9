import type { Bus, BusHandler } from '@parley/platform/ports/bus'

export interface MemoryBusOptions {
  /** Told of what a handler throws; the other handlers go on. Without it the error is thrown as uncaught. */
  onHandlerError?: (error: unknown, channel: string) => void
  /** How much may wait for delivery before `publish` rejects: 100,000 and 64 MiB unless told. */
  maxQueued?: number
  maxQueuedBytes?: number
}

interface Queued {
  channel: string
  payload: Uint8Array
}

/** Timers and sockets get their turn after this much delivering. */
const longestTurnMs = 5

/** The bus within one process: one queue, delivered in order from the event loop, once a turn. */
export function createMemoryBus(options: MemoryBusOptions = {}): Bus {
  const maxQueued = options.maxQueued ?? 100_000
  const maxQueuedBytes = options.maxQueuedBytes ?? 64 * 1024 * 1024
  const onHandlerError = options.onHandlerError ?? throwLater
  /** The lists are replaced, never changed, so that handlers may subscribe and unsubscribe while one is walked. */
  const handlers = new Map<string, readonly BusHandler[]>()
  let queue: Queued[] = []
  let delivered = 0
  let queuedBytes = 0
  let scheduled = false
  let closed = false

  function deliver({ channel, payload }: Queued): void {
    for (const handler of handlers.get(channel) ?? []) {
      try {
        handler(payload, channel)
      } catch (error) {
        onHandlerError(error, channel)
      }
    }
  }

  function drain(): void {
    scheduled = false
    const end = queue.length
    const began = performance.now()
    while (delivered < end && !closed) {
      const next = queue[delivered] as Queued
      delivered += 1
      queuedBytes -= next.payload.byteLength
      deliver(next)
      if (performance.now() - began > longestTurnMs) break
    }
    queue = closed ? [] : queue.slice(delivered)
    delivered = 0
    if (queue.length > 0) schedule()
  }

  function schedule(): void {
    if (scheduled) return
    scheduled = true
    setImmediate(drain)
  }

  function refuseIfClosed(): void {
    if (closed) throw new Error('the bus is closed')
  }

  return {
    async publish(channel, payload) {
      refuseIfClosed()
      if (!handlers.has(channel)) return
      const waiting = queue.length - delivered
      if (waiting >= maxQueued || queuedBytes + payload.byteLength > maxQueuedBytes) {
        throw new Error(`${waiting} publishes of ${queuedBytes} bytes wait for delivery on the bus`)
      }
      queue.push({ channel, payload })
      queuedBytes += payload.byteLength
      schedule()
    },
    async subscribe(channel, handler) {
      refuseIfClosed()
      const present = handlers.get(channel) ?? []
      if (!present.includes(handler)) handlers.set(channel, [...present, handler])
    },
    async unsubscribe(channel, handler) {
      const left = (handlers.get(channel) ?? []).filter((other) => other !== handler)
      if (left.length > 0) handlers.set(channel, left)
      else handlers.delete(channel)
    },
    onInterruption() {
      // There is no link to lose: what was published is delivered or the process is gone.
    },
    async close() {
      closed = true
      handlers.clear()
      queue = []
      delivered = 0
      queuedBytes = 0
    },
  }
}

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error
  })
}
