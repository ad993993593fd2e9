import type { Database } from '@parley/platform/ports/database'
import { newId } from '@parley/proto/ids'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openProjectedTables, type ProjectedTables } from './projected-tables.ts'
import { createShownPositions, type ShownPositions } from './shown-positions.ts'

let tables: ProjectedTables
beforeAll(async () => {
  tables = await openProjectedTables()
}, 60_000)
afterAll(() => tables?.close(), 30_000)

const never = 60_000

function open(options: { database?: Database; maxWaiters?: number } = {}): ShownPositions {
  return createShownPositions({ database: tables.db, pollMs: 5, ...options })
}

/** A conversation of these users, who have read nothing of its ten events. */
async function stored(...users: string[]): Promise<string> {
  const conversation = newId()
  await tables.db.transaction(async (sql) => {
    await sql.query(
      `insert into conversations (id, kind, history, head, last_at, last_epoch, last_offset, last_index, created_at,
         created_hash, member_count) values ($1, 'group', 'all', 10, 1, 1, 0, 0, 1, '', $2)`,
      [conversation, users.length],
    )
    await sql.query(
      `insert into members (conversation_id, user_id, role, from_seq, joined_seq)
       select $1, u, 'member', 1, 1 from unnest($2::uuid[]) u`,
      [conversation, users],
    )
  })
  return conversation
}

const change = (text: string, params: unknown[]) =>
  tables.db.transaction((sql) => sql.query(text, params))

test('each waits for its own position', async () => {
  const positions = open()
  const [ada, bob] = [newId(), newId()]
  const conversation = await stored(ada, bob)
  const answered: string[] = []
  const waiting = [
    positions.waitFor({ user: ada, conversation, seq: 3 }, never).then(() => answered.push('3')),
    positions.waitFor({ user: ada, conversation, seq: 5 }, never).then(() => answered.push('5')),
    positions.waitFor({ user: bob, conversation, seq: 5 }, never).then(() => answered.push('b')),
  ]
  await change('update members set read_seq = 4 where user_id = $1', [ada])
  await waiting[0]
  expect(answered).toEqual(['3'])
  await change('update members set read_seq = 7 where user_id = $1', [ada])
  await waiting[1]
  expect(answered).toEqual(['3', '5'])
  await change('update members set read_seq = 5 where user_id = $1', [bob])
  await Promise.all(waiting)
})

test('[G6] one who is removed meanwhile is outside', async () => {
  const positions = open()
  const user = newId()
  const conversation = await stored(user)
  const waiting = positions.waitFor({ user, conversation, seq: 3 }, never)
  await change('delete from members where user_id = $1', [user])
  expect(await waiting).toBe('outside')
})

test('[G8] the wait is bounded, and so is the number of those who wait', async () => {
  const positions = open({ maxWaiters: 1 })
  const user = newId()
  const wanted = { user, conversation: await stored(user), seq: 3 }
  const waiting = positions.waitFor(wanted, 30)
  expect(await positions.waitFor(wanted, never)).toBe('full')
  expect(await waiting).toBe('late')
  const next = positions.waitFor(wanted, never)
  positions.close()
  expect(await next).toBe('late')
  expect(await positions.waitFor(wanted, never)).toBe('late')
})

test('with the database away the wait goes on, and ends when it is back', async () => {
  let away = true
  let asked = 0
  const snapshot: Database['snapshot'] = (work) => {
    asked += 1
    return away ? Promise.reject(new Error('away')) : tables.db.snapshot(work)
  }
  const positions = open({ database: { ...tables.db, snapshot } })
  const user = newId()
  const conversation = await stored(user)
  await change('update members set read_seq = 3 where user_id = $1', [user])
  const waiting = positions.waitFor({ user, conversation, seq: 3 }, never)
  expect(await positions.waitFor({ user, conversation, seq: 3 }, 50)).toBe('late')
  expect(asked).toBeGreaterThan(0)
  away = false
  expect(await waiting).toBe('shown')
})
