import { createMemoryBus } from '@parley/platform/memory/bus'
import type { Bus } from '@parley/platform/ports/bus'
import type { BusHarness } from './bus-harness.ts'

/** `wrap` may put a fault between the suite and the adapter. */
export async function createMemoryBusHarness(
  deadlineMs = 5_000,
  wrap: (bus: Bus) => Bus = (bus) => bus,
): Promise<BusHarness> {
  const opened: Bus[] = []
  return {
    deadlineMs,
    async open(options) {
      const bus = wrap(createMemoryBus(options))
      opened.push(bus)
      return { publisher: bus, subscriber: bus }
    },
    async dispose() {
      await Promise.all(opened.map((bus) => bus.close()))
    },
  }
}
