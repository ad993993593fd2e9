import { awayChecks } from './database-away-checks.ts'
import { boundChecks } from './database-bound-checks.ts'
import type { DatabaseCheck } from './database-harness.ts'
import { queryChecks } from './database-query-checks.ts'
import { transactionChecks } from './database-transaction-checks.ts'

/** Everything that the port `Database` promises. */
export const databaseChecks: readonly DatabaseCheck[] = [
  ...transactionChecks,
  ...queryChecks,
  ...boundChecks,
  ...awayChecks,
]
