import type { Log } from '@parley/platform/ports/log'
import { openInChild as openWhole } from './log-lmdb-harness.ts'

/**
 * For `log-crash-child.ts`: a log that acknowledges at once and writes a little later, as an adapter would that does
 * not wait for the disk. Its offsets are right, as long as it lives.
 */
export async function openInChild(settings: { path: string }): Promise<Log> {
  const log = await openWhole(settings)
  const ends = new Map<number, number>()
  return {
    ...log,
    async append(topic, partition, records) {
      const stored = (await log.range(topic, partition)).next
      const offset = ends.get(partition) ?? stored
      ends.set(partition, offset + records.length)
      setTimeout(() => log.append(topic, partition, records), 5)
      await new Promise(setImmediate)
      return { offset }
    },
  }
}
