import { createMemoryBus } from '@parley/platform/memory/bus'
import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import type { TestDatabase } from '@parley/platform/postgres/test-database'
import { channels, encodeProjected } from '@parley/proto/fan-out'
import { newId } from '@parley/proto/ids'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { openTables, storeConversation } from '../http/test-world.ts'
import {
  createProjectedHeads,
  type ProjectedHeads,
  type ProjectedHeadsOptions,
} from './projected-heads.ts'

let tables: TestDatabase
let made: ProjectedHeads[] = []
beforeAll(async () => {
  tables = await openTables()
}, 60_000)
afterAll(() => tables?.close())
afterEach(async () => {
  await Promise.all(made.map((heads) => heads.close()))
  made = []
})

const never = 60_000
const ok = { ok: true }

async function headsOn(bus: Bus, more: Partial<ProjectedHeadsOptions> = {}) {
  const heads = await createProjectedHeads({ bus, database: tables.db, partitions: 4, ...more })
  made.push(heads)
  return heads
}

async function stored(head: number): Promise<string> {
  const id = newId()
  await storeConversation(tables.db, { id, head, members: [] })
  return id
}

/** The real database, with its queries counted. */
function counted(): { database: Database; queries: () => number } {
  let queries = 0
  const snapshot: Database['snapshot'] = (work) => {
    queries += 1
    return tables.db.snapshot(work)
  }
  return { database: { ...tables.db, snapshot }, queries: () => queries }
}

test('what the database holds already is answered at once', async () => {
  const heads = await headsOn(createMemoryBus(), { recheckMs: never })
  const id = await stored(5)
  expect(await heads.waitFor(id, 5, never)).toEqual(ok)
  expect(await heads.waitFor(id, 1, never)).toEqual(ok)
})

test('a notice on any partition ends the waiting for heads up to it, and for no others', async () => {
  const bus = createMemoryBus()
  const heads = await headsOn(bus, { recheckMs: never })
  const id = await stored(1)
  const answered: number[] = []
  const waiting = [2, 3, 4].map((seq) =>
    heads.waitFor(id, seq, never).then((result) => {
      answered.push(seq)
      return result
    }),
  )
  await bus.publish(channels.projected(2), encodeProjected(new Map([[newId(), 9]])))
  await bus.publish(channels.projected(3), encodeProjected(new Map([[id, 3]])))
  expect(await Promise.all(waiting.slice(0, 2))).toEqual([ok, ok])
  expect(answered).toEqual([2, 3])
  await bus.publish(channels.projected(0), encodeProjected(new Map([[id, 4]])))
  expect(await waiting[2]).toEqual(ok)
})

test('[G7] a lost notice is made up for by asking the database', async () => {
  const heads = await headsOn(createMemoryBus(), { recheckMs: 20 })
  const id = await stored(1)
  const waiting = heads.waitFor(id, 2, never)
  await tables.db.transaction((sql) =>
    sql.query('update conversations set head = 2 where id = $1', [id]),
  )
  expect(await waiting).toEqual(ok)
})

test('after an interruption of the bus the database is asked', async () => {
  let interrupted = () => {}
  const bus: Bus = {
    ...createMemoryBus(),
    onInterruption: (listener) => {
      interrupted = listener
    },
  }
  const { database, queries } = counted()
  const heads = await headsOn(bus, { recheckMs: never, database })
  const id = await stored(1)
  const waiting = heads.waitFor(id, 2, never)
  await tables.db.transaction((sql) =>
    sql.query('update conversations set head = 2 where id = $1', [id]),
  )
  const before = queries()
  interrupted()
  expect(await waiting).toEqual(ok)
  expect(queries()).toBeGreaterThan(before)
})

test('[G8] [Y4] the wait is bounded: after it the answer is unavailable', async () => {
  const heads = await headsOn(createMemoryBus(), { recheckMs: 10 })
  const id = await stored(1)
  expect(await heads.waitFor(id, 2, 50)).toMatchObject({ ok: false, code: 'unavailable' })
})

test('[G8] [L2] so is the number of those who wait, and there is room again when they are answered', async () => {
  const bus = createMemoryBus()
  const heads = await headsOn(bus, { recheckMs: never, maxWaiters: 3 })
  const id = await stored(1)
  const waiting = [2, 2, 2].map((seq) => heads.waitFor(id, seq, never))
  expect(await heads.waitFor(id, 2, never)).toMatchObject({ ok: false, code: 'overloaded' })
  await bus.publish(channels.projected(1), encodeProjected(new Map([[id, 2]])))
  expect(await Promise.all(waiting)).toEqual([ok, ok, ok])
  expect(await heads.waitFor(id, 1, never)).toEqual(ok)
})

test('a thousand who wait cost one query at a time, and nobody waiting costs none', async () => {
  const { database, queries } = counted()
  const bus = createMemoryBus()
  const heads = await headsOn(bus, { recheckMs: never, database })
  const id = await stored(1)
  const waiting = Array.from({ length: 1_000 }, () => heads.waitFor(id, 2, never))
  await bus.publish(channels.projected(1), encodeProjected(new Map([[id, 2]])))
  await Promise.all(waiting)
  expect(queries()).toBeLessThanOrEqual(2)
})

test('with the database away the wait ends as it would, and goes on when it is back', async () => {
  let away = true
  const snapshot: Database['snapshot'] = (work) =>
    away ? Promise.reject(new Error('away')) : tables.db.snapshot(work)
  const heads = await headsOn(createMemoryBus(), {
    recheckMs: 10,
    database: { ...tables.db, snapshot },
  })
  const id = await stored(2)
  expect(await heads.waitFor(id, 2, 60)).toMatchObject({ code: 'unavailable' })
  const waiting = heads.waitFor(id, 2, never)
  away = false
  expect(await waiting).toEqual(ok)
})

test('closing answers those who wait', async () => {
  const heads = await headsOn(createMemoryBus(), { recheckMs: never })
  const waiting = heads.waitFor(await stored(1), 2, never)
  await heads.close()
  expect(await waiting).toMatchObject({ code: 'unavailable' })
  expect(await heads.waitFor(newId(), 1, never)).toMatchObject({ code: 'unavailable' })
})
