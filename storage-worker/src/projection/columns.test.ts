import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import { formatId, parseId } from '@parley/proto/ids'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { byteas, int2s, int4s, int8s, texts, uuids } from './columns.ts'

let test: TestDatabase
beforeAll(async () => {
  test = await openTestDatabase()
}, 60_000)
afterAll(() => test.close())

const row = fc.record({
  id: fc.option(fc.uuid()),
  bytes: fc.option(fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b))),
  text: fc.option(fc.string({ unit: 'grapheme' }).map((s) => s.replaceAll('\0', ''))),
  int8: fc.oneof(fc.maxSafeInteger(), fc.integer()),
  int4: fc.integer(),
  int2: fc.integer({ min: -32_768, max: 32_767 }),
})

describe('columns', { timeout: 30_000 }, () => {
  it('PostgreSQL reads every value as it was written', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(row, { maxLength: 20 }), async (rows) => {
        const found = await test.db.snapshot((sql) =>
          sql.query(
            `select * from unnest($1::uuid[], $2::bytea[], $3::text[], $4::int8[], $5::int4[], $6::int2[])
               as t (id, bytes, text, int8, int4, int2)`,
            [
              uuids(rows.map((r) => (r.id === null ? null : parseId(r.id)))),
              byteas(rows.map((r) => r.bytes)),
              texts(rows.map((r) => r.text)),
              int8s(rows.map((r) => r.int8)),
              int4s(rows.map((r) => r.int4)),
              int2s(rows.map((r) => r.int2)),
            ],
            'columns',
          ),
        )
        expect(found).toEqual(rows)
      }),
    )
  })

  it('refuses what does not fit', () => {
    expect(() => int8s([2 ** 53])).toThrow(RangeError)
    expect(() => int8s([0.5])).toThrow(RangeError)
    expect(() => int4s([2 ** 31])).toThrow(RangeError)
    expect(() => int2s([2 ** 15])).toThrow(RangeError)
  })

  it('takes ids as views into larger buffers', async () => {
    const frame = Buffer.alloc(40, 0xab)
    const id = frame.subarray(10, 26)
    const [found] = await test.db.snapshot((sql) =>
      sql.query<{ id: string }>('select * from unnest($1::uuid[]) as t (id)', [uuids([id])]),
    )
    expect(found?.id).toBe(formatId(id))
  })
})
