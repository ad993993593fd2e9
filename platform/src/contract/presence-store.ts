import { describe, it } from 'vitest'
import { presenceStoreChecks } from './presence-store-checks.ts'
import type { PresenceStoreHarness } from './presence-store-harness.ts'

/** Registers the suite of the port `PresenceStore` for one adapter; each test gets a store that nobody else uses. */
export function presenceStoreContract(
  adapter: string,
  makeHarness: () => Promise<PresenceStoreHarness>,
  { breakable = false }: { breakable?: boolean } = {},
): void {
  describe(`PresenceStore on ${adapter}`, () => {
    for (const { name, breaks, run } of presenceStoreChecks) {
      it.skipIf(breaks === true && !breakable)(name, async () => {
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
