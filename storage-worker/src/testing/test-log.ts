import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdbLog } from '@parley/platform/lmdb/log'
import type { Log } from '@parley/platform/ports/log'
import { topics } from '@parley/proto/record-headers'

export interface TestLog {
  log: Log
  /** Closes the log and removes its folder. */
  close(): Promise<void>
}

/** A new log, with an epoch of its own, in a temporary folder. */
export async function openTestLog(partitions: number): Promise<TestLog> {
  const path = await mkdtemp(join(tmpdir(), 'parley-log-'))
  const log = await openLmdbLog({
    path,
    topics: {
      [topics.commands]: partitions,
      [topics.events]: partitions,
      [topics.cursors]: partitions,
    },
    maxRecordBytes: 1024 * 1024,
    maxReadBytes: 1024 * 1024,
  })
  return {
    log,
    async close() {
      await log.close()
      await rm(path, { recursive: true, force: true })
    },
  }
}
