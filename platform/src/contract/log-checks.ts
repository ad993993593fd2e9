import { appendChecks } from './log-append-checks.ts'
import { crashChecks } from './log-crash-checks.ts'
import { groupChecks } from './log-group-checks.ts'
import type { LogCheck } from './log-harness.ts'
import { readerChecks } from './log-reader-checks.ts'
import { trimChecks } from './log-trim-checks.ts'

/** Everything that the port `Log` promises. */
export const logChecks: readonly LogCheck[] = [
  ...appendChecks,
  ...trimChecks,
  ...groupChecks,
  ...readerChecks,
  ...crashChecks,
]
