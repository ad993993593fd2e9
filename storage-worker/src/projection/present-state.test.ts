import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import type { Event, EventBody, EventKind } from '@parley/proto/frames'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { migrate } from '../migrations/migrate.ts'
import { entryFor, epochId, idOf, recordOf } from '../testing/histories.ts'
import { emptyDatabase, readTables } from '../testing/read-tables.ts'
import { keyOf } from '../testing/tables.ts'
import { decodeBatches } from './batch.ts'
import { projectBatch } from './transaction.ts'

const [ada, bob, eve] = [idOf('b', 1), idOf('b', 2), idOf('b', 3)]
const conversation = idOf('c', 1)
const secret = 'a secret of the deleted'

let test: TestDatabase
beforeAll(async () => {
  test = await openTestDatabase()
  await migrate(test.db)
}, 60_000)
afterAll(() => test.close())
beforeEach(() => emptyDatabase(test.db, { number: 1, id: epochId, partitions: 1 }))

interface Said {
  kind: EventKind
  sender?: string
  body?: EventBody
  /** The seq of the message it is about. */
  about?: number
}

const created: Said = { kind: 'created', body: { kind: 'group', users: [ada, bob, eve] } }
const says = (text: string): Said => ({ kind: 'message', body: { text } })
const edits = (about: number, text: string): Said => ({ kind: 'edit', about, body: { text } })
const deletes = (about: number): Said => ({ kind: 'delete', about })
const reacts = (about: number, emoji: string, sender = ada): Said => {
  return { kind: 'reaction', about, sender, body: { emoji } }
}
const takesBack = (about: number, emoji: string, sender = ada): Said => {
  return { kind: 'reaction', about, sender, body: { emoji, remove: true } }
}

/** Projects the events in batches of so many, and answers the row of the message with a seq and its reactions. */
async function project(said: Said[], size: number) {
  const records = said.map((one, offset) => {
    const at = { offset, index: 0 }
    const entry = entryFor(eventOf(one, offset), at)
    const after = { offset: offset + 1, index: 0 }
    return recordOf(offset, after, [one === created ? { ...entry, history: 'all' } : entry])
  })
  const options = { partition: 0, epoch: 1, epochId, maxEvents: size }
  for (const batch of decodeBatches(records, options)) await projectBatch(test.db, batch)
  const tables = await readTables(test.db)
  return {
    tables,
    row: (seq: number) => tables.messages.get(keyOf(conversation, seq)),
    total: (seq: number, emoji: string) => tables.totals.get(keyOf(conversation, seq, emoji)),
  }
}

function eventOf({ kind, sender = ada, body, about }: Said, offset: number): Event {
  return {
    type: 'event',
    conversation,
    seq: offset + 1,
    id: idOf('a', offset + 1),
    kind,
    sender,
    at: 1_000 + offset,
    ...(body === undefined ? {} : { body }),
    ...(about === undefined ? {} : { target: idOf('a', about) }),
  }
}

/** Every value of every row of every table, bytes as the text they hold. */
async function allText(): Promise<string> {
  const tables = await test.db.snapshot((sql) =>
    sql.query<{ name: string }>(
      "select relname as name from pg_class where relkind in ('r', 'p') and not relispartition and relnamespace = 'public'::regnamespace",
    ),
  )
  const texts: string[] = []
  for (const { name } of tables) {
    const rows = await test.db.snapshot((sql) => sql.query<object>(`select * from "${name}"`))
    for (const value of rows.flatMap((row) => Object.values(row))) texts.push(String(value))
  }
  expect(texts.join()).toContain(conversation)
  return texts.join('\n')
}

describe.each([1, 3, 100])('present state, in batches of %i', { timeout: 30_000 }, (size) => {
  it('[H13] an edit changes what a message says now, and not what it said then', async () => {
    const { row } = await project([created, says('one'), edits(2, 'two'), edits(2, 'three')], size)
    expect(row(2)).toMatchObject({
      body: { text: 'one' },
      edited: { at: 1_003, body: { text: 'three' } },
      deletedSeq: null,
    })
    expect(row(3)).toMatchObject({ kind: 'edit', body: { text: 'two' }, edited: null })
  })

  it('[G6] [B6] after a delete no table holds the body, of the message or of an edit before or after it', async () => {
    const said = [
      created,
      says(`${secret} 1`),
      edits(2, `${secret} 2`),
      says('stays'),
      edits(2, `${secret} 3`),
      reacts(2, secret.slice(0, 8)),
      deletes(2),
      edits(2, `${secret} 4`),
      edits(4, 'stays, too'),
      edits(2, `${secret} 5`),
      deletes(2),
    ]
    const { row, tables } = await project(said, size)
    const text = await allText()
    expect(text).not.toContain(`${secret} `)
    expect(text).toContain('stays, too')
    expect(row(2)).toMatchObject({ body: null, edited: null, deletedSeq: 7 })
    for (const seq of [3, 5, 8, 10]) expect(row(seq), String(seq)).toMatchObject({ body: null })
    expect(row(4)).toMatchObject({ body: { text: 'stays' }, deletedSeq: null })
    expect(tables.reactions.size + tables.totals.size).toBe(0)
  })

  it('[S11] a reaction once more, or taken away where there is none, changes nothing', async () => {
    const said = [
      created,
      says('x'),
      reacts(2, '👍'),
      reacts(2, '👍'),
      takesBack(2, '❤', bob),
      reacts(2, '👍', bob),
      reacts(2, '👍'),
    ]
    const { tables, total } = await project(said, size)
    expect(total(2, '👍')).toEqual({ count: 2, firstSeq: 3 })
    expect(tables.totals.size).toBe(1)
    expect(tables.reactions.get(keyOf(conversation, 2, ada, '👍'))).toBe(3)
  })

  it('[S11] [H13] one that is taken away and comes again is new; the oldest that stands gives an emoji its place', async () => {
    const said = [
      created,
      says('x'),
      reacts(2, '👍'),
      reacts(2, '❤', bob),
      reacts(2, '👍', eve),
      takesBack(2, '👍'),
      reacts(2, '👍'),
    ]
    const { tables, total } = await project(said, size)
    expect(total(2, '👍')).toEqual({ count: 2, firstSeq: 5 })
    expect(total(2, '❤')).toEqual({ count: 1, firstSeq: 4 })
    expect(tables.reactions.get(keyOf(conversation, 2, ada, '👍'))).toBe(7)
  })

  it('what is about no message, or about one that is gone, keeps its place in the order and changes nothing', async () => {
    const said = [
      created,
      says('x'),
      edits(2, 'y'),
      edits(3, 'an edit of an edit'),
      reacts(1, '👍'),
      deletes(3),
      deletes(99),
      says('z'),
      deletes(8),
      reacts(8, '👍'),
    ]
    const { tables, row } = await project(said, size)
    expect(tables.conversations.get(conversation)?.head).toBe(10)
    expect(tables.totals.size).toBe(0)
    expect(row(3)).toMatchObject({ body: { text: 'y' }, edited: null, deletedSeq: null })
    expect(row(4)).toMatchObject({ body: { text: 'an edit of an edit' } })
  })
})
