import { changeChecks } from './presence-store-change-checks.ts'
import type { PresenceStoreCheck } from './presence-store-harness.ts'
import { leaseChecks } from './presence-store-lease-checks.ts'

/** Everything that the port `PresenceStore` promises. */
export const presenceStoreChecks: readonly PresenceStoreCheck[] = [...leaseChecks, ...changeChecks]
