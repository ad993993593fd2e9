import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import { StartError } from '@parley/platform/process/start-error'
import { recordSchema, topics } from '@parley/proto/record-headers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { beginEpoch, claimEpoch } from './epochs.ts'
import { migrate } from './migrations/migrate.ts'
import { openTestLog, type TestLog } from './testing/test-log.ts'

let test: TestDatabase
const logs: TestLog[] = []
beforeAll(async () => {
  test = await openTestDatabase()
  await migrate(test.db)
}, 60_000)
afterAll(() => test.close())
beforeEach(() =>
  test.db.transaction((sql) =>
    sql.query('truncate partition_checkpoints, cursor_checkpoints, log_epochs'),
  ),
)
afterEach(async () => {
  for (const log of logs.splice(0)) await log.close()
})

async function newLog(partitions = 3) {
  const opened = await openTestLog(partitions)
  logs.push(opened)
  return opened.log
}

function rows<Row>(text: string): Promise<Row[]> {
  return test.db.transaction((sql) => sql.query<Row>(text))
}

const checkpoints = 'select * from partition_checkpoints order by partition'

describe('epochs', { timeout: 30_000 }, () => {
  it('[R15] an empty database takes an empty log for its first epoch, and keeps it', async () => {
    const log = await newLog()
    const numbers = await Promise.all([claimEpoch(test.db, log), claimEpoch(test.db, log)])
    expect(numbers).toEqual([1, 1])
    expect(await claimEpoch(test.db, log)).toBe(1)
    expect(await rows('select number, id from log_epochs')).toEqual([{ number: 1, id: log.epoch }])
    expect(await rows(checkpoints)).toEqual(
      [0, 1, 2].map((partition) => {
        return { partition, epoch: 1, next_event: 0, up_to_offset: 0, up_to_index: 0 }
      }),
    )
  })

  it('[R15] an empty database refuses a log that was used, unless told to begin an epoch', async () => {
    const log = await newLog()
    const record = { headers: { schema: recordSchema }, value: Buffer.of(1) }
    await log.append(topics.events, 2, [record, record])
    const claimed = claimEpoch(test.db, log)
    await expect(claimed).rejects.toBeInstanceOf(StartError)
    await expect(claimed).rejects.toThrow(/database is empty, but the log holds records/)
    expect(await rows('select * from log_epochs')).toEqual([])
    expect(await beginEpoch(test.db, log)).toBe(1)
  })

  it('[R15] a log whose beginning is gone begins no epoch', async () => {
    const log = await newLog()
    const record = { headers: { schema: recordSchema }, value: Buffer.of(1) }
    await log.append(topics.events, 2, [record, record])
    await log.trim(topics.events, 2, 1)
    const begun = beginEpoch(test.db, log)
    await expect(begun).rejects.toThrow(/parley\.events\/2 only from 1 on/)
    expect(await rows('select * from log_epochs')).toEqual([])
  })

  it('[R15] another log under an old database is refused, with the command that begins an epoch', async () => {
    const [old, other] = [await newLog(), await newLog()]
    await claimEpoch(test.db, old)
    const claimed = claimEpoch(test.db, other)
    await expect(claimed).rejects.toBeInstanceOf(StartError)
    await expect(claimed).rejects.toThrow('npm run new-epoch')
    expect(await rows('select id from log_epochs')).toEqual([{ id: old.epoch }])
  })

  it('[R15] the explicit command begins the next epoch at its start, once', async () => {
    const [old, next] = [await newLog(4), await newLog(2)]
    await claimEpoch(test.db, old)
    await rows('update partition_checkpoints set next_event = 9, up_to_offset = 8')
    expect(await beginEpoch(test.db, next)).toBe(2)
    const begun = [0, 1].map((partition) => {
      return { partition, epoch: 2, next_event: 0, up_to_offset: 0, up_to_index: 0 }
    })
    expect(await rows(checkpoints)).toEqual(begun)
    await rows('update partition_checkpoints set next_event = 5')
    expect(await beginEpoch(test.db, next)).toBe(2)
    expect(await claimEpoch(test.db, next)).toBe(2)
    expect(await rows('select distinct next_event from partition_checkpoints')).toEqual([
      { next_event: 5 },
    ])
    await expect(claimEpoch(test.db, old)).rejects.toThrow(/is epoch 1 .* gone on to epoch 2/)
    await expect(beginEpoch(test.db, old)).rejects.toBeInstanceOf(StartError)
  })

  it('[R1] another number of partitions is refused', async () => {
    const log = await newLog(3)
    await claimEpoch(test.db, log)
    await rows('delete from partition_checkpoints where partition = 2')
    await expect(claimEpoch(test.db, log)).rejects.toThrow('3 partitions')
  })
})
