import { describe, it } from 'vitest'
import { busChecks } from './bus-checks.ts'
import type { BusHarness } from './bus-harness.ts'

/** Registers the suite of the port `Bus` for one adapter; each test gets a bus that nobody else uses. */
export function busContract(adapter: string, makeHarness: () => Promise<BusHarness>): void {
  describe(`Bus on ${adapter}`, () => {
    for (const { name, run } of busChecks) {
      it(name, async () => {
        const harness = await makeHarness()
        try {
          await run(harness)
        } finally {
          await harness.dispose()
        }
      })
    }
  })
}
