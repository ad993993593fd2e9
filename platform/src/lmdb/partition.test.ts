import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openCommittedOffset } from './committed-offsets.ts'
import { type LogFile, openLogFile } from './log-file.ts'
import { openPartition, type Partition } from './partition.ts'
import { createWriter, type Write, type Writer } from './writer.ts'

let folder: string
let file: LogFile
let writer: Writer

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'parley-log-'))
  await openFile()
})

afterEach(async () => {
  await writer.close()
  await file.close()
  rmSync(folder, { recursive: true, force: true })
})

async function openFile(): Promise<void> {
  file = await openLogFile({ path: join(folder, 'log'), topics: { main: 2 } })
  writer = createWriter(file.root, {
    maxPendingBytes: 10_000_000,
    maxPendingWrites: 10_000,
    maxTransactionBytes: 10_000_000,
    commitTimeoutMs: 10_000,
  })
}

function openZero(over: Writer = writer): Partition {
  return openPartition({
    topic: 'main',
    partition: 0,
    epoch: file.epoch,
    records: file.records('main', 0),
    meta: file.meta,
    writer: over,
    maxRecordBytes: 100_000,
    maxReadBytes: 100_000,
    maxReadRecords: 100,
  })
}

const record = { headers: { schema: '1' }, value: Buffer.alloc(100) }
const records = (count: number) => Array.from({ length: count }, () => record)

function transactions(): number {
  return (file.root.getStats() as { lastTxnId: number }).lastTxnId
}

function stored(): number {
  return (file.records('main', 0).getStats() as { entryCount: number }).entryCount
}

async function untilStored(count: number): Promise<void> {
  const deadline = Date.now() + 5_000
  while (stored() !== count) {
    if (Date.now() > deadline) throw new Error(`${stored()} records are stored, not ${count}`)
    await new Promise(setImmediate)
  }
}

it('appends in flight together share a transaction, and so one sync', async () => {
  const partition = openZero()
  const before = transactions()
  await Promise.all(Array.from({ length: 64 }, () => partition.append(records(2))))
  expect(transactions() - before).toBe(1)
  expect(partition.next).toBe(128)
})

it('[LOG10] trimmed records are removed in steps, with appends between them', async () => {
  const partition = openZero()
  await partition.append(records(3_000))
  const before = transactions()
  await partition.trim(2_990)
  expect(stored()).toBeGreaterThan(2_000)
  const mostlyThere: number[] = []
  for (let count = 0; count < 5; count++) {
    await partition.append([record])
    mostlyThere.push(stored())
  }
  expect(mostlyThere[0]).toBeGreaterThan(1_000)
  await untilStored(15)
  // One for `earliest` and the appends, and at least 2,990 / 256 for the removing.
  expect(transactions() - before).toBeGreaterThanOrEqual(12)
  expect(partition.read(2_990)).toHaveLength(15)
})

it('[LOG10] removing that was cut short goes on after the next opening', async () => {
  const partition = openZero()
  await partition.append(records(2_000))
  partition.stopRemoving()
  await partition.trim(2_000)
  expect(stored()).toBe(2_000)
  await writer.close()
  await file.close()
  await openFile()
  const again = openZero()
  expect(again.earliest).toBe(2_000)
  await untilStored(0)
  expect(again.next).toBe(2_000)
})

/** A writer that holds every write back until the test lets it go on, or refuses it. */
function heldWriter() {
  const held: { go(): void; refuse(): void }[] = []
  const over: Writer = {
    submit: (write: Write) =>
      new Promise((resolve, reject) => {
        held.push({
          go: () => void writer.submit(write).then(resolve, reject),
          refuse: () => reject(new Error('nothing was written: the disk is full')),
        })
      }),
    close: () => Promise.resolve(),
  }
  return { over, held }
}

it('[LOG10] a trim that was refused is tried again by the next one', async () => {
  await openZero().append(records(10))
  const { over, held } = heldWriter()
  const partition = openZero(over)
  const refused = partition.trim(4)
  held[0]?.refuse()
  await expect(refused).rejects.toThrow(/disk is full/)
  expect(partition.earliest).toBe(0)
  const again = partition.trim(4)
  expect(held).toHaveLength(2)
  held[1]?.go()
  await again
  expect(partition.earliest).toBe(4)
})

it('[LOG10] a lower trim beside a higher one in flight ends as that does', async () => {
  await openZero().append(records(10))
  const { over, held } = heldWriter()
  const partition = openZero(over)
  const failing = Promise.allSettled([partition.trim(6), partition.trim(4)])
  for (const one of held) one.refuse()
  expect((await failing).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  const earliestAtEnd: number[] = []
  const waiting = [6, 4].map((before) =>
    partition.trim(before).then(() => earliestAtEnd.push(partition.earliest)),
  )
  for (const one of held) one.go()
  await Promise.all(waiting)
  expect(earliestAtEnd).toEqual([6, 6])
})

it('[LOG7] a commit that was refused leaves nothing behind: a lower one is taken', async () => {
  const { over, held } = heldWriter()
  const place = { topic: 'main', partition: 0 }
  const committed = openCommittedOffset({ offsets: file.offsets, writer: over }, 'group', place)
  const refused = committed.commit(9)
  held[0]?.refuse()
  await expect(refused).rejects.toThrow(/disk is full/)
  const lower = committed.commit(5)
  await expect(committed.commit(4)).rejects.toThrow(RangeError)
  held[1]?.go()
  await Promise.all([lower, committed.settled()])
  expect(committed.value).toBe(5)
})
