import { createMemoryPresenceStore } from '@parley/platform/memory/presence-store'
import type { PresenceStore } from '@parley/platform/ports/presence-store'
import type { PresenceStoreHarness } from './presence-store-harness.ts'

/** `wrap` may put a fault between the suite and the adapter. */
export async function createMemoryPresenceStoreHarness(
  deadlineMs = 5_000,
  wrap: (store: PresenceStore) => PresenceStore = (store) => store,
): Promise<PresenceStoreHarness> {
  const opened: PresenceStore[] = []
  return {
    deadlineMs,
    clockSlackMs: 10,
    async open(options) {
      const store = wrap(createMemoryPresenceStore(options))
      opened.push(store)
      return { one: store, other: store }
    },
    async dispose() {
      await Promise.all(opened.map((store) => store.close()))
    },
  }
}
