import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import type { Cursor } from '@parley/proto/cursor-records'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { migrate } from '../migrations/migrate.ts'
import { epochId, idOf } from '../testing/histories.ts'
import { emptyDatabase, readTables } from '../testing/read-tables.ts'
import { applyCursors, moveCursorCheckpoint, readCursorCheckpoint } from './apply.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await openTestDatabase()
  await migrate(test.db)
}, 60_000)
afterAll(() => test.close())
beforeEach(() => emptyDatabase(test.db, { number: 1, id: epochId, partitions: 1 }))

const head = 10

/** Conversations 0 and 1 with that head; users 0 to 3 are members. */
async function storeConversations(): Promise<void> {
  await test.db.transaction(async (sql) => {
    for (const c of [0, 1]) {
      await sql.query(
        `insert into conversations (id, kind, history, head, last_at, last_epoch, last_offset, last_index, created_at,
           created_hash, member_count) values ($1, 'group', 'all', $2, 1, 1, 0, 0, 1, '', 4)`,
        [idOf('c', c), head],
      )
      await sql.query(
        `insert into members (conversation_id, user_id, role, from_seq, joined_seq)
         select $1, u, 'member', 1, 1 from unnest($2::uuid[]) u`,
        [idOf('c', c), [0, 1, 2, 3].map((u) => idOf('b', u))],
      )
    }
  })
}

const cursor = (c: number, user: number, seq: number): Cursor => {
  return { conversation: idOf('c', c), user: idOf('b', user), seq }
}
const apply = (cursors: Cursor[]) => test.db.transaction((sql) => applyCursors(sql, cursors))
const reads = async () =>
  new Map([...(await readTables(test.db)).members].map(([key, m]) => [key, m.read]))
const readOf = async (c: number, user: number) =>
  (await reads()).get(`${idOf('c', c)}/${idOf('b', user)}`)

describe('applyCursors', { timeout: 30_000 }, () => {
  beforeEach(storeConversations)

  it('[G9] moves positions forward, never back, and each by itself', async () => {
    expect(await apply([cursor(0, 1, 4), cursor(1, 1, 6), cursor(0, 2, 9)])).toEqual([
      true,
      true,
      true,
    ])
    expect(await apply([cursor(0, 1, 3), cursor(1, 1, 6), cursor(0, 2, 10)])).toEqual([
      true,
      true,
      true,
    ])
    expect([
      await readOf(0, 1),
      await readOf(1, 1),
      await readOf(0, 2),
      await readOf(1, 2),
    ]).toEqual([4, 6, 10, 0])
  })

  it('[G9] one ahead of the head moves to the head, and needs another try', async () => {
    expect(await apply([cursor(0, 1, head + 5), cursor(0, 2, 1)])).toEqual([false, true])
    expect(await readOf(0, 1)).toBe(head)
    await test.db.transaction((sql) => sql.query('update conversations set head = 20'))
    expect(await apply([cursor(0, 1, head + 5)])).toEqual([true])
    expect(await readOf(0, 1)).toBe(head + 5)
  })

  it('[G9] [D6] one of a membership that has ended is left alone by the one after it', async () => {
    await test.db.transaction((sql) => sql.query('update members set joined_seq = 8'))
    expect(await apply([{ ...cursor(0, 1, 6), head: 7 }])).toEqual([false])
    expect(await readOf(0, 1)).toBe(0)
    expect(await apply([{ ...cursor(0, 1, 3), head: 8 }])).toEqual([true])
    expect(await readOf(0, 1)).toBe(3)
  })

  it('[G6] those of users outside, and of conversations not there, change nothing and need another try', async () => {
    const before = await reads()
    expect(await apply([cursor(0, 9, 3), cursor(7, 1, 3)])).toEqual([false, false])
    expect(await reads()).toEqual(before)
  })

  it('leaves members that the projection holds for the next try, and waits for none', async () => {
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    let locked = () => {}
    const held = new Promise<void>((resolve) => {
      locked = resolve
    })
    const projection = test.db.transaction(async (sql) => {
      await sql.query('update members set read_seq = 2 where user_id = $1', [idOf('b', 1)])
      locked()
      await released
    })
    await held
    expect(await apply([cursor(0, 1, 5), cursor(0, 2, 5)])).toEqual([false, true])
    release()
    await projection
    expect([await readOf(0, 1), await readOf(0, 2)]).toEqual([2, 5])
    expect(await apply([cursor(0, 1, 5)])).toEqual([true])
    expect(await readOf(0, 1)).toBe(5)
  })

  it('[G9] however they are doubled, reordered and raced for, what is settled stays and the greatest counts', async () => {
    const batch = fc.uniqueArray(
      fc.record({ c: fc.nat(1), user: fc.nat(4), seq: fc.integer({ min: 1, max: head + 3 }) }),
      { selector: ({ c, user }) => `${c}/${user}`, minLength: 1 },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { minLength: 1, maxLength: 6 }), async (drawn) => {
        await test.db.transaction((sql) => sql.query('update members set read_seq = 0'))
        const expected = await reads()
        const batches = drawn.map((some) => some.map(({ c, user, seq }) => cursor(c, user, seq)))
        for (const { conversation, user, seq } of batches.flat()) {
          const key = `${conversation}/${user}`
          const before = expected.get(key)
          if (before !== undefined) expected.set(key, Math.max(before, Math.min(seq, head)))
        }
        const settled: Cursor[] = []
        const race = async (mine: Cursor[][]) => {
          for (const cursors of mine) {
            const answers = await apply(cursors)
            settled.push(...cursors.filter((_, i) => answers[i]))
          }
        }
        await Promise.all([race(batches), race(batches.toReversed())])
        const raced = await reads()
        for (const { conversation, user, seq } of settled) {
          expect(raced.get(`${conversation}/${user}`)).toBeGreaterThanOrEqual(seq)
        }
        for (const cursors of batches) await apply(cursors)
        expect(await reads()).toEqual(expected)
      }),
      { numRuns: 30 },
    )
  })
})

describe('the checkpoint of cursors', () => {
  it('[R15] only moves forward within an epoch, and begins anew in the next', async () => {
    const at = (epoch: number) => ({ partition: 0, epoch })
    const read = (epoch: number) => test.db.snapshot((sql) => readCursorCheckpoint(sql, at(epoch)))
    const move = (epoch: number, next: number) =>
      test.db.transaction((sql) => moveCursorCheckpoint(sql, { ...at(epoch), next }))
    expect(await read(1)).toBe(0)
    await move(1, 7)
    await move(1, 5)
    expect(await read(1)).toBe(7)
    await test.db.transaction((sql) =>
      sql.query('insert into log_epochs (number, id) values (2, $1)', [idOf('ee', 2)]),
    )
    expect(await read(2)).toBe(0)
    await move(2, 3)
    await move(1, 9)
    expect(await read(2)).toBe(3)
    await expect(read(1)).rejects.toThrow('gone on to epoch 2')
  })
})
