import type {
  Assignment,
  Consumer,
  Log,
  LogRecord,
  PartitionReader,
} from '@parley/platform/ports/log'

/** A way in which an adapter could break the port, put between the suite and a whole adapter. */
export interface LogFault {
  name: string
  /** The rule whose checks must notice. */
  rule: string
  wrap(log: Log): Log
}

/** Changes what a consumer of the log sees. */
function withConsumer(
  log: Log,
  change: {
    assignment?(inner: Assignment): Assignment
    reader?(inner: PartitionReader, assignment: Assignment): Promise<PartitionReader>
  },
): Log {
  return {
    ...log,
    join(group, topic, consumer) {
      const changed: Consumer = {
        failed: (partition, error) => consumer.failed(partition, error),
        async assigned(assignment) {
          const reader = await consumer.assigned(change.assignment?.(assignment) ?? assignment)
          return (await change.reader?.(reader, assignment)) ?? reader
        },
      }
      return log.join(group, topic, changed)
    },
  }
}

function withReads(
  log: Log,
  read: (inner: PartitionReader, records: LogRecord[]) => Promise<void>,
): Log {
  return withConsumer(log, {
    reader: async (inner) => ({
      start: inner.start,
      read: (records) => read(inner, records),
      revoked: () => inner.revoked(),
    }),
  })
}

function withCommit(log: Log, commit: (inner: Assignment, next: number) => Promise<void>): Log {
  return withConsumer(log, {
    assignment: (inner) => ({ ...inner, commit: (next) => commit(inner, next) }),
  })
}

/** The same layers without a fault, to show that what the suite notices is not the layers. */
export function withoutFault(log: Log): Log {
  return withCommit(
    withReads(log, (inner, records) => inner.read(records)),
    (inner, next) => inner.commit(next),
  )
}

export const logFaults: readonly LogFault[] = [
  {
    name: 'a dropped append: every tenth is acknowledged and not written',
    rule: 'LOG3',
    wrap(log) {
      let count = 0
      return {
        ...log,
        async append(topic, partition, records) {
          count += 1
          if (count % 10 > 0) return log.append(topic, partition, records)
          return { offset: (await log.range(topic, partition)).next }
        },
      }
    },
  },
  {
    name: 'a dropped record: the last of each larger append is not written',
    rule: 'LOG1',
    wrap: (log) => ({
      ...log,
      append: (topic, partition, records) =>
        log.append(topic, partition, records.length > 3 ? records.slice(0, -1) : records),
    }),
  },
  {
    name: 'a torn append: the records of one append are written one by one',
    rule: 'LOG2',
    wrap: (log) => ({
      ...log,
      async append(topic, partition, records) {
        const offsets: number[] = []
        for (const record of records) {
          offsets.push((await log.append(topic, partition, [record])).offset)
        }
        return { offset: offsets[0] as number }
      },
    }),
  },
  {
    name: 'a doubled delivery: each batch is read twice',
    rule: 'LOG3',
    wrap: (log) =>
      withReads(log, async (inner, records) => {
        await inner.read(records)
        await inner.read(records)
      }),
  },
  {
    name: 'a lost delivery: the last record of each larger batch is left out',
    rule: 'LOG3',
    wrap: (log) =>
      withReads(log, (inner, records) =>
        inner.read(records.length > 1 ? records.slice(0, -1) : records),
      ),
  },
  {
    name: 'a reordered partition: the last two records of a batch change places',
    rule: 'LOG3',
    wrap: (log) =>
      withReads(log, (inner, records) =>
        inner.read([...records.slice(0, -2), ...records.slice(-2).reverse()]),
      ),
  },
  {
    name: 'values in another’s place: offsets are right, but the values of a batch are reversed',
    rule: 'LOG3',
    wrap: (log) =>
      withReads(log, (inner, records) =>
        inner.read(
          records.map((record, index) => ({
            ...record,
            value: (records.at(-1 - index) as LogRecord).value,
          })),
        ),
      ),
  },
  {
    name: 'a lost commit: it resolves and is not stored',
    rule: 'LOG7',
    wrap: (log) => withCommit(log, async () => {}),
  },
  {
    name: 'a falling commit: what is below the committed offset resolves',
    rule: 'LOG7',
    wrap: (log) =>
      withCommit(log, async (inner, next) => {
        await inner.commit(next).catch((error) => {
          if (!(error instanceof RangeError)) throw error
        })
      }),
  },
  {
    name: 'a zombie’s commit resolves',
    rule: 'LOG5',
    wrap: (log) => withCommit(log, (inner, next) => inner.commit(next).catch(() => {})),
  },
  {
    name: 'a partition is given to the next member before the last one let go',
    rule: 'LOG5',
    wrap: (log) =>
      withConsumer(log, {
        reader: async (inner) => ({
          start: inner.start,
          read: (records) => inner.read(records),
          async revoked() {
            setTimeout(() => inner.revoked(), 20)
          },
        }),
      }),
  },
  {
    name: 'no redelivery: a new assignment begins at the end of the log',
    rule: 'LOG6',
    wrap: (log) =>
      withConsumer(log, {
        reader: async (inner, { topic, partition }) => ({
          start: (await log.range(topic, partition)).next,
          read: (records) => inner.read(records),
          revoked: () => inner.revoked(),
        }),
      }),
  },
  {
    name: 'a reader that does not resolve is not waited for',
    rule: 'LOG8',
    wrap: (log) =>
      withReads(log, async (inner, records) => {
        void inner.read(records)
      }),
  },
  {
    name: 'a failure is not told',
    rule: 'LOG9',
    wrap: (log) => ({
      ...log,
      join: (group, topic, consumer) =>
        log.join(group, topic, {
          assigned: (assignment) => consumer.assigned(assignment),
          failed() {},
        }),
    }),
  },
  {
    name: 'trimmed records are skipped in silence',
    rule: 'LOG10',
    wrap: (log) =>
      withConsumer(log, {
        reader: async (inner, { topic, partition }) => ({
          start: Math.max(inner.start, (await log.range(topic, partition)).earliest),
          read: (records) => inner.read(records),
          revoked: () => inner.revoked(),
        }),
      }),
  },
  {
    name: 'a trim that takes one record too many',
    rule: 'LOG10',
    wrap: (log) => ({
      ...log,
      trim: (topic, partition, before) => log.trim(topic, partition, before + 1),
    }),
  },
  {
    name: 'an epoch that is new at each opening',
    rule: 'LOG11',
    wrap: (log) => ({ ...log, epoch: crypto.randomUUID() }),
  },
  {
    name: 'a close that does not wait for appends in flight',
    rule: 'LOG12',
    wrap(log) {
      let closing = false
      return {
        ...log,
        async append(topic, partition, records) {
          await new Promise(setImmediate)
          if (closing) throw new Error('closed')
          return log.append(topic, partition, records)
        },
        close() {
          closing = true
          return log.close()
        },
      }
    },
  },
]
