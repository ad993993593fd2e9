import type { LogRecord } from '@parley/platform/ports/log'
import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import type { EventEntry } from '@parley/proto/event-records'
import type { Event } from '@parley/proto/frames'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { migrate } from '../migrations/migrate.ts'
import { entryFor, epochId, idOf, recordOf } from '../testing/histories.ts'
import { emptyDatabase } from '../testing/read-tables.ts'
import { decodeBatches } from './batch.ts'
import { projectBatch } from './transaction.ts'

const messages = 100_000
const conversations = 200
const members = 20
const eventsPerRecord = 50
const transactionEvents = 2_000

let test: TestDatabase
beforeAll(async () => {
  test = await openTestDatabase()
  await migrate(test.db)
  await emptyDatabase(test.db, { number: 1, id: epochId, partitions: 1 })
}, 60_000)
afterAll(() => test.close())

it('[R4] [G3] a hundred thousand messages come to rows 1..N of each conversation; how fast is printed', async () => {
  const records = [...logRecords()]
  const options = { partition: 0, epoch: 1, epochId, maxEvents: transactionEvents }
  const cpuBefore = process.cpuUsage()
  const begunMs = performance.now()
  for (const batch of decodeBatches(records, options)) await projectBatch(test.db, batch)
  const ms = performance.now() - begunMs
  const { user, system } = process.cpuUsage(cpuBefore)
  const rows = messages + conversations
  console.log(
    `projection: ${Math.round((rows / ms) * 1_000)} rows/s, ${((user + system) / rows).toFixed(1)} µs of this process a row`,
  )
  const found = await test.db.snapshot((sql) =>
    sql.query(
      `select c.head from conversations c
         join (select conversation_id, count(*) as rows, max(seq) as last from messages group by 1) m
           on m.conversation_id = c.id and m.rows = c.head and m.last = c.head`,
    ),
  )
  expect(found).toEqual(Array(conversations).fill({ head: 1 + messages / conversations }))
}, 120_000)

function* logRecords(): Generator<LogRecord> {
  let offset = 0
  let gathered: EventEntry[] = []
  for (const event of events()) {
    const place = offset * eventsPerRecord + gathered.length
    const entry = entryFor(event, { offset: place, index: 0 })
    gathered.push(event.kind === 'created' ? { ...entry, history: 'all' } : entry)
    if (gathered.length < eventsPerRecord) continue
    yield recordOf(offset, { offset: place + 1, index: 0 }, gathered)
    offset += 1
    gathered = []
  }
}

function* events(): Generator<Event> {
  const users = Array.from({ length: members }, (_, n) => idOf('b', n))
  for (let n = 0; n < messages + conversations; n++) {
    const base = {
      type: 'event' as const,
      conversation: idOf('c', n % conversations),
      seq: 1 + Math.floor(n / conversations),
      id: idOf('a', n),
      sender: users[n % members] as string,
      at: 1_700_000_000_000 + n,
    }
    yield n < conversations
      ? { ...base, kind: 'created', body: { kind: 'group', users } }
      : { ...base, kind: 'message', body: { text: `a message of ordinary length, number ${n}` } }
  }
}
