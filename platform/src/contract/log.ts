import { describe, it } from 'vitest'
import { logChecks } from './log-checks.ts'
import type { LogHarness } from './log-harness.ts'

/** Registers the suite of the port `Log` for one adapter; each test gets an empty log of its own. */
export function logContract(adapter: string, makeHarness: () => Promise<LogHarness>): void {
  describe(`Log on ${adapter}`, () => {
    for (const { name, run } of logChecks) {
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
