import { topics } from '@parley/proto/record-headers'
import { followTopic, type TopicConsumer } from './follow-topic.ts'
import { openProjector, type ProjectorParts } from './partition-projector.ts'
import type { StorageWorkerSettings } from './settings.ts'
import { createEventTrim } from './trimming.ts'

export const storageGroup = 'storage-worker'

/** Joins the group that projects the events log, and projects every partition given to this process. */
export function consumeEvents(
  parts: ProjectorParts,
  settings: StorageWorkerSettings,
): Promise<TopicConsumer> {
  const { log, logger, metrics } = parts
  const trim = createEventTrim({ log, logger, metrics, settings })
  return followTopic({
    group: storageGroup,
    topic: topics.events,
    open: (assignment, stopping) => openProjector(parts, { assignment, settings, stopping, trim }),
    ...{ log, logger, settings },
    lag: metrics.lag,
    stoppedGauge: metrics.stopped,
  })
}
