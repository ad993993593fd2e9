import { logContract } from './log.ts'
import { createLmdbHarness } from './log-lmdb-harness.ts'

logContract('LMDB', () => createLmdbHarness())
