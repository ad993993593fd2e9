import { topics } from '@parley/proto/record-headers'
import { followTopic, type TopicConsumer } from '../follow-topic.ts'
import type { StorageWorkerSettings } from '../settings.ts'
import { createCursorTrim } from '../trimming.ts'
import { type CursorParts, openCursorPartition } from './cursor-partition.ts'

export const cursorsGroup = 'storage-worker-cursors'

/** Joins the group that applies the cursors log, and applies every partition given to this process. */
export function consumeCursors(
  parts: CursorParts,
  settings: StorageWorkerSettings,
): Promise<TopicConsumer> {
  const { log, logger, metrics } = parts
  const trim = createCursorTrim({ log, logger, metrics, settings })
  return followTopic({
    group: cursorsGroup,
    topic: topics.cursors,
    open: (assignment, stopping) =>
      openCursorPartition(parts, { assignment, settings, stopping, trim }),
    ...{ log, logger, settings },
    lag: metrics.cursorLag,
    stoppedGauge: metrics.cursorsStopped,
  })
}
