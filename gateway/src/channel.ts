import type { Bus, BusHandler } from '@parley/platform/ports/bus'

/** A subscription that stands until `close`, however often the bus refuses it. */
export interface Channel {
  /** Resolves once the subscription stands, or was closed. */
  readonly heard: Promise<void>
  close(): void
}

export interface ChannelOptions {
  bus: Bus
  name: string
  handler: BusHandler
  /** The subscription stands after all, but what was published since the first attempt is missed. */
  onLate: () => void
}

const firstRetryMs = 200
const longestRetryMs = 5_000

export function openChannel({ bus, name, handler, onLate }: ChannelOptions): Channel {
  let closed = false
  let retry: NodeJS.Timeout | undefined
  let wake = () => {}

  async function subscribe(): Promise<void> {
    for (let waitMs = firstRetryMs; !closed; waitMs = Math.min(waitMs * 2, longestRetryMs)) {
      try {
        await bus.subscribe(name, handler)
        if (waitMs > firstRetryMs) onLate()
        return
      } catch {
        await new Promise<void>((resolve) => {
          wake = resolve
          retry = setTimeout(resolve, waitMs)
        })
      }
    }
  }

  const heard = subscribe()
  return {
    heard,
    close() {
      closed = true
      clearTimeout(retry)
      wake()
      // A subscription on its way must stand before it can be taken back.
      void heard.then(() => bus.unsubscribe(name, handler)).catch(() => {})
    },
  }
}
