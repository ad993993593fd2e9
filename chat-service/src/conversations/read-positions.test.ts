import { createCursorWriter } from '@parley/platform/cursor-writer/cursor-writer'
import { createMemoryBus } from '@parley/platform/memory/bus'
import type { Bus } from '@parley/platform/ports/bus'
import { createMetrics } from '@parley/platform/process/metrics'
import type { Cursor } from '@parley/proto/cursor-records'
import { failure } from '@parley/proto/errors'
import { channels, decodeConversationPayload, decodeUserNotice } from '@parley/proto/fan-out'
import type { Event, EventBody, EventKind } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { partitionOf } from '@parley/proto/partition'
import { topics } from '@parley/proto/record-headers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { listConversations } from './conversation-list.ts'
import { createProjectedHeads, type ProjectedHeads } from './projected-heads.ts'
import {
  entryFor,
  openProjectedTables,
  type ProjectedTables,
  recordOf,
  type StorageStack,
  startStorage,
} from './projected-tables.ts'
import {
  createReadPositions,
  type ReadPositions,
  type ReadPositionsParts,
} from './read-positions.ts'
import { createShownPositions, type ShownPositions } from './shown-positions.ts'

const partitions = 2
const quiet = { debug() {}, warn() {}, error() {} }
const [ada, bob, eve] = [newId(), newId(), newId()]
const ok = { ok: true }

let tables: ProjectedTables
let stack: StorageStack
let bus: Bus
let heads: ProjectedHeads
let shown: ShownPositions
let positions: ReadPositions
let close: () => Promise<void>
beforeAll(async () => {
  tables = await openProjectedTables()
}, 60_000)
afterAll(() => tables?.close(), 30_000)
beforeEach(async () => {
  bus = createMemoryBus()
  stack = await startStorage(tables, bus, partitions)
  heads = await createProjectedHeads({ bus, database: tables.db, partitions })
  shown = createShownPositions({ database: tables.db })
  const { log } = stack
  const cursors = createCursorWriter({ log, logger: quiet, metrics: createMetrics(), flushMs: 5 })
  positions = readPositions({ cursors })
  close = async () => {
    await cursors.close()
    shown.close()
    await heads.close()
    await stack.close()
    await bus.close()
  }
}, 30_000)
afterEach(() => close(), 30_000)

function readPositions(parts: Partial<ReadPositionsParts>): ReadPositions {
  const cursors = { advance: () => true, flushed: async () => {} }
  const { db: database } = tables
  const { log } = stack
  return createReadPositions({ cursors, log, heads, shown, bus, database, logger: quiet, ...parts })
}

/** A conversation as the log has it. */
function conversationOf(users: string[]) {
  const id = newId()
  let head = 0
  async function happens(kind: EventKind, body?: EventBody): Promise<void> {
    head += 1
    const base = { type: 'event' as const, conversation: id, seq: head, id: newId(), kind }
    const event: Event = { ...base, sender: ada, at: head, ...(body ? { body } : {}) }
    const entry = entryFor(event, { offset: head, index: 0 })
    const stored = kind === 'created' ? { ...entry, history: 'all' as const } : entry
    const record = recordOf(0, { offset: 0, index: 0 }, [stored])
    await stack.append(record, partitionOf(id, partitions))
  }
  return {
    id,
    happens,
    async created(messages: number) {
      await happens('created', { kind: 'group', users })
      for (let n = 0; n < messages; n++) await happens('message', { text: `${n}` })
      expect(await heads.waitFor(id, head, 5_000)).toEqual(ok)
    },
  }
}

async function entryOf(user: string, conversation: string) {
  const { conversations } = await listConversations(tables.db, { user, limit: 500 })
  return conversations.find(({ entry }) => entry.id === conversation)?.entry
}

describe('read positions over REST', { timeout: 30_000 }, () => {
  test('[G9] [P4] once it is answered reads show it, it never falls, and beyond the head it is the head', async () => {
    const { id, created } = conversationOf([ada, bob])
    await created(4)
    const who = { user: bob, conversation: id }
    expect(await entryOf(bob, id)).toMatchObject({ read: 0, unread: 4 })
    const steps = [
      { seq: 2, read: 2, unread: 3 },
      { seq: 4, read: 4, unread: 1 },
      { seq: 3, read: 4, unread: 1 },
      { seq: Number.MAX_SAFE_INTEGER, read: 5, unread: 0 },
    ]
    for (const { seq, read, unread } of steps) {
      expect(await positions.advance(who, seq)).toEqual(ok)
      expect(await entryOf(bob, id)).toMatchObject({ head: 5, read, unread })
    }
  })

  test('[G9] a position seen live and not yet projected waits for the projection', async () => {
    const { id, created, happens } = conversationOf([ada, bob])
    await created(1)
    const answered = positions.advance({ user: bob, conversation: id }, 3)
    await happens('message', { text: 'just seen' })
    expect(await answered).toEqual(ok)
    expect(await entryOf(bob, id)).toMatchObject({ head: 3, read: 3, unread: 0 })
  })

  test('[G9] while the projection is behind nobody knows the head, so nothing is cut off', async () => {
    const { id, created } = conversationOf([ada, bob])
    await created(1)
    const who = { user: bob, conversation: id }
    const unreached = { waitFor: async () => failure('unavailable', 'not yet') }
    const next = (await stack.log.range(topics.events, partitionOf(id, partitions))).next
    const ending = (end: () => Promise<number>) => ({
      partitions: () => partitions,
      range: async () => ({ earliest: 0, next: await end() }),
    })
    const behind = [async () => next + 1, () => Promise.reject(new Error('away'))]
    for (const end of behind) {
      const lagging = readPositions({ heads: unreached, log: ending(end) })
      expect(await lagging.advance(who, 3)).toMatchObject({ code: 'unavailable' })
    }
    const even = readPositions({
      heads: unreached,
      log: ending(async () => next),
      shown: { waitFor: async () => 'shown' },
    })
    expect(await even.advance(who, 3)).toEqual(ok)
    const busy = { waitFor: async () => failure('overloaded', 'too many') }
    expect(await readPositions({ heads: busy }).advance(who, 3)).toMatchObject({
      code: 'overloaded',
    })
  })

  test('[P4] the user’s devices and, in small conversations, the others are told; an old position is told nobody', async () => {
    const small = conversationOf([ada, bob])
    const large = conversationOf([ada, bob, ...Array.from({ length: 99 }, () => newId())])
    await small.created(2)
    await large.created(2)
    const told: unknown[] = []
    await bus.subscribe(channels.user(bob), (payload) => {
      const notice = decodeUserNotice(payload)
      if (notice.type === 'read') told.push(notice)
    })
    for (const { id } of [small, large]) {
      await bus.subscribe(channels.conversation(id), (payload) => {
        told.push({ conversation: id, ...decodeConversationPayload(payload) })
      })
    }
    for (const { id } of [small, large]) {
      for (const seq of [2, 1]) {
        expect(await positions.advance({ user: bob, conversation: id }, seq)).toEqual(ok)
      }
    }
    const own = (id: string) => ({ type: 'read', conversation: id, seq: 2 })
    await vi.waitFor(() => expect(told).toHaveLength(3))
    expect(told).toEqual([
      own(small.id),
      { conversation: small.id, type: 'read', user: bob, seq: 2 },
      own(large.id),
    ])
  })

  test('[G6] outside there is nothing to read, and nothing is written', async () => {
    const { id, created } = conversationOf([ada, bob])
    await created(1)
    const advanced: Cursor[] = []
    const cursors = { advance: (c: Cursor) => advanced.push(c) > 0, flushed: async () => {} }
    const watched = readPositions({ cursors })
    for (const conversation of [id, newId()]) {
      const answer = await watched.advance({ user: eve, conversation }, 1)
      expect(answer).toMatchObject({ ok: false, code: 'not_found' })
    }
    expect(advanced).toEqual([])
  })

  test('[G6] one who is removed while it waits is outside', async () => {
    const { id, created, happens } = conversationOf([ada, bob])
    await created(1)
    const waiting = readPositions({}).advance({ user: bob, conversation: id }, 2)
    await happens('left', { users: [bob] })
    expect(await waiting).toMatchObject({ code: 'not_found' })
  })

  test('[G8] [L2] where the log or this process has no room, the answer says to come again', async () => {
    const { id, created } = conversationOf([ada, bob])
    await created(1)
    const who = { user: bob, conversation: id }
    const full = readPositions({ cursors: { advance: () => false, flushed: async () => {} } })
    expect(await full.advance(who, 1)).toMatchObject({ code: 'overloaded', retryAfterMs: 1_000 })
    const lost = { advance: () => true, flushed: () => Promise.reject(new Error('given up')) }
    expect(await readPositions({ cursors: lost }).advance(who, 1)).toMatchObject({
      code: 'unavailable',
    })
    const busy = readPositions({ shown: { waitFor: async () => 'full' } })
    expect(await busy.advance(who, 1)).toMatchObject({ code: 'overloaded' })
    const slow = readPositions({ shown: { waitFor: async () => 'late' } })
    expect(await slow.advance(who, 1)).toMatchObject({ code: 'unavailable' })
  })

  test('[G10] a bus that is away delays nothing', async () => {
    const { id, created } = conversationOf([ada, bob])
    await created(1)
    const away = { publish: () => Promise.reject(new Error('away')) }
    const { log } = stack
    const metrics = createMetrics()
    const cursors = createCursorWriter({ log, logger: quiet, metrics, flushMs: 5 })
    const quietly = readPositions({ bus: away, cursors })
    expect(await quietly.advance({ user: bob, conversation: id }, 2)).toEqual(ok)
    await cursors.close()
  })
})
