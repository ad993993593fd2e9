import { presenceStoreContract } from './presence-store.ts'
import { createMemoryPresenceStoreHarness } from './presence-store-memory-harness.ts'

presenceStoreContract('memory', () => createMemoryPresenceStoreHarness())
