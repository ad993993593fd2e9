import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdbLog } from '@parley/platform/lmdb/log'
import type { Log } from '@parley/platform/ports/log'
import type { LogHarness } from './log-harness.ts'

const maxRecordBytes = 256 * 1024

function openAt(path: string, rebalanceTimeoutMs: number): Promise<Log> {
  return openLmdbLog({
    path,
    topics: { 'contract.main': 4, 'contract.other': 1 },
    maxRecordBytes,
    maxReadBytes: 1024 * 1024,
    maxReadRecords: 100,
    rebalanceTimeoutMs,
  })
}

/** Called by `log-crash-child.ts`. */
export function openInChild(settings: { path: string }): Promise<Log> {
  return openAt(settings.path, 10_000)
}

/** `wrap` may put a fault between the suite and the adapter, `childModule` the same in the other process. */
export async function createLmdbHarness(
  deadlineMs = 10_000,
  wrap: (log: Log) => Log = (log) => log,
  childModule = import.meta.url,
): Promise<LogHarness> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-log-'))
  const path = join(folder, 'log')
  const opened: Log[] = []
  return {
    topic: 'contract.main',
    otherTopic: 'contract.other',
    maxRecordBytes,
    deadlineMs,
    async open(options) {
      const log = wrap(await openAt(path, options?.quickCutOff ? 100 : 2 * deadlineMs))
      opened.push(log)
      return log
    },
    child: { module: childModule, settings: { path } },
    async dispose() {
      await Promise.all(opened.map((log) => log.close()))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
