import type { Log } from '@parley/platform/ports/log'
import { type CommittedOffset, openCommittedOffset } from './committed-offsets.ts'
import { createGroup, type Group } from './group.ts'
import { type LogFile, openLogFile } from './log-file.ts'
import { openPartition, type Partition } from './partition.ts'
import { createWriter } from './writer.ts'

export interface LmdbLogOptions {
  /** The log's own folder, made when missing. */
  path: string
  /** The number of partitions of each topic, fixed from its first opening on. */
  topics: Readonly<Record<string, number>>
  /** The largest value of a record. */
  maxRecordBytes: number
  /** The most a reader gets at once, except that a single record always fits. */
  maxReadBytes: number
  /** 500 unless told. */
  maxReadRecords?: number
  /** How much may wait for the disk before `append` rejects: 64 MiB and 100,000 unless told. */
  maxPendingBytes?: number
  maxPendingWrites?: number
  /** How long a member may take to let go of its partitions in a rebalance: 30 s unless told. */
  rebalanceTimeoutMs?: number
  /** After how long without an answer from the disk writes reject: 30 s unless told. */
  commitTimeoutMs?: number
  /** Address space taken at once, not memory: the map grows beyond it by itself. */
  mapSizeBytes?: number
}

export interface LmdbLog extends Log {}

/**
 * Opens the log in `path`, or begins a new one with an epoch of its own. One process at a time.
 * Rejects with LogUnusable, nothing changed, when the file is damaged, of another format or with other partition
 * counts, or open elsewhere.
 */
export async function openLmdbLog(options: LmdbLogOptions): Promise<LmdbLog> {
  checkOptions(options)
  const file = await openLogFile(options)
  const writer = createWriter(file.root, {
    maxPendingBytes: options.maxPendingBytes ?? 64 * 1024 * 1024,
    maxPendingWrites: options.maxPendingWrites ?? 100_000,
    maxTransactionBytes: 8 * 1024 * 1024,
    commitTimeoutMs: options.commitTimeoutMs ?? 30_000,
  })
  const topics = new Map<string, Partition[]>()
  try {
    for (const [topic, count] of Object.entries(options.topics)) {
      topics.set(
        topic,
        Array.from({ length: count }, (_, partition) =>
          openPartition({
            topic,
            partition,
            epoch: file.epoch,
            records: file.records(topic, partition),
            meta: file.meta,
            writer,
            maxRecordBytes: options.maxRecordBytes,
            maxReadBytes: options.maxReadBytes,
            maxReadRecords: options.maxReadRecords ?? 500,
          }),
        ),
      )
    }
  } catch (error) {
    await writer.close()
    await file.close()
    throw error
  }
  return createLog({ options, file, topics, writer })
}

function checkOptions(options: LmdbLogOptions): void {
  for (const [topic, partitions] of Object.entries(options.topics)) {
    if (topic.includes('\0') || !Number.isInteger(partitions) || partitions < 1) {
      throw new RangeError(`topic ${JSON.stringify(topic)} with ${partitions} partitions`)
    }
  }
}

function createLog(parts: {
  options: LmdbLogOptions
  file: LogFile
  topics: Map<string, Partition[]>
  writer: ReturnType<typeof createWriter>
}): LmdbLog {
  const { options, file, topics, writer } = parts
  const groups = new Map<string, Group>()
  let closing: Promise<void> | null = null

  function partitionsOf(topic: string): Partition[] {
    if (closing !== null) throw new Error('the log is closed')
    const partitions = topics.get(topic)
    if (partitions === undefined) throw new RangeError(`unknown topic ${topic}`)
    return partitions
  }

  function partitionOf(topic: string, number: number): Partition {
    const partitions = partitionsOf(topic)
    const partition = partitions[number]
    if (partition === undefined) {
      throw new RangeError(`${topic} has partitions 0 to ${partitions.length - 1}, not ${number}`)
    }
    return partition
  }

  function groupOf(name: string, topic: string): Group {
    const key = `${name}\0${topic}`
    let group = groups.get(key)
    if (group === undefined) {
      const partitions = partitionsOf(topic)
      if (name.includes('\0')) throw new RangeError(`group ${JSON.stringify(name)}`)
      const committed: CommittedOffset[] = partitions.map((partition) =>
        openCommittedOffset({ offsets: file.offsets, writer }, name, partition),
      )
      group = createGroup({
        name,
        topic,
        partitions,
        committed,
        rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? 30_000,
      })
      groups.set(key, group)
    }
    return group
  }

  async function close(): Promise<void> {
    for (const partition of [...topics.values()].flat()) partition.stopRemoving()
    await Promise.all([...groups.values()].map((group) => group.close()))
    await writer.close()
    await file.close()
  }

  return {
    epoch: file.epoch,
    partitions: (topic) => partitionsOf(topic).length,
    append: async (topic, partition, records) => partitionOf(topic, partition).append(records),
    async range(topic, partition) {
      const { earliest, next } = partitionOf(topic, partition)
      return { earliest, next }
    },
    async join(name, topic, consumer) {
      partitionsOf(topic)
      return groupOf(name, topic).join(consumer)
    },
    trim: async (topic, partition, before) => partitionOf(topic, partition).trim(before),
    close() {
      closing ??= close()
      return closing
    },
  }
}
