import assert from 'node:assert/strict'
import type { Log, LogRecord, NewRecord } from '@parley/platform/ports/log'
import type { LogHarness } from './log-harness.ts'
import { createProbe } from './log-probe.ts'

export function record(text: string): NewRecord {
  return { headers: { schema: '1' }, value: Buffer.from(text) }
}

export function textOf({ value }: LogRecord): string {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString()
}

/** Deals the texts out over the partitions in turn and appends each partition's at once. */
export async function appendTexts(
  log: Log,
  topic: string,
  texts: readonly string[],
  partitions: readonly number[] = [0],
): Promise<void> {
  await Promise.all(
    partitions.map((partition, turn) => {
      const own = texts.filter((_, index) => index % partitions.length === turn)
      return log.append(topic, partition, own.map(record))
    }),
  )
}

export function numbered(count: number, prefix = ''): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`)
}

/** Reads what a partition holds now, through a group of its own that commits nothing. */
export async function readAll(
  harness: LogHarness,
  log: Log,
  partition: number,
  topic = harness.topic,
): Promise<LogRecord[]> {
  const { earliest, next } = await log.range(topic, partition)
  const probe = createProbe({
    deadlineMs: harness.deadlineMs,
    start: (assignment) => (assignment.partition === partition ? earliest : 0),
    // Other partitions are held back, so that what they hold matters to nobody.
    assigned: async ({ partition: other, signal }) => {
      if (other !== partition) await aborted(signal)
    },
  })
  const of = () => probe.records.filter((read) => read.partition === partition)
  const member = await log.join(`reader-${crypto.randomUUID()}`, topic, probe.consumer)
  try {
    await probe.until(`${next - earliest} records of partition ${partition} read`, () => {
      if (probe.failures.length > 0) throw probe.failures[0]?.error
      return of().length >= next - earliest
    })
  } finally {
    await member.close()
  }
  probe.assertSound()
  const records = of().map((read) => read.record)
  assert.equal(records.length, next - earliest)
  return records
}

export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** The error of a promise that must reject. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new assert.AssertionError({ message: 'resolved where it had to reject' })
}
