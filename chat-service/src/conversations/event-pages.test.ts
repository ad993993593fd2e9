import type { TestDatabase } from '@parley/platform/postgres/test-database'
import { formatEvent, writeEventFrame } from '@parley/proto/event-frame'
import { newId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTables, storeConversation, storeEvents } from '../http/test-world.ts'
import { readEvents } from './event-pages.ts'

let tables: TestDatabase
beforeAll(async () => {
  tables = await openTables()
}, 60_000)
afterAll(() => tables?.close())

const user = newId()

async function conversationOf(bodies: (object | undefined)[], target?: string): Promise<string> {
  const conversation = newId()
  const head = bodies.length
  await storeConversation(tables.db, { id: conversation, head, members: [{ user }] })
  await storeEvents(
    tables.db,
    bodies.map((body, i) => ({
      conversation,
      seq: i + 1,
      id: newId(),
      kind: 1,
      sender: user,
      at: Date.now(),
      ...(body ? { body } : {}),
      ...(target ? { target } : {}),
    })),
  )
  return conversation
}

test('[G8] the frames of a page take at most 256 KiB, and pages follow without a hole', async () => {
  const forms: [string, (object | undefined)[], string?][] = [
    ['large', Array.from({ length: 60 }, () => ({ text: '漢'.repeat(5_000) }))],
    ['of all sizes', Array.from({ length: 120 }, (_, i) => ({ text: 'a'.repeat(i * 60 + 1) }))],
    ['many and small', Array.from({ length: 900 }, () => undefined), newId()],
  ]
  for (const [name, bodies, target] of forms) {
    const conversation = await conversationOf(bodies, target)
    const seen: number[] = []
    for (let after = 0; ; after = seen.at(-1) as number) {
      const page = await readEvents(tables.db, {
        user,
        conversation,
        after,
        limit: limits.pageEntries,
      })
      if (!page.ok) throw new Error(page.message)
      const bytes = page.events.reduce((sum, e) => sum + writeEventFrame(e).length, 0)
      expect(bytes, name).toBeLessThanOrEqual(limits.pageBytes)
      expect(page.events.length, name).toBeLessThanOrEqual(limits.pageEntries)
      expect(page.events.length, name).toBeGreaterThan(0)
      expect(page.more).toBe((page.events.at(-1)?.seq ?? 0) < page.head)
      seen.push(...page.events.map((e) => e.seq))
      if (!page.more) break
    }
    expect(seen, name).toEqual(bodies.map((_, i) => i + 1))
  }
})

test('an event has the very parts of its frame', async () => {
  const conversation = await conversationOf([{ text: 'Hello!' }])
  const page = await readEvents(tables.db, { user, conversation, after: 0, limit: 1 })
  if (!page.ok) throw new Error(page.message)
  const [event] = page.events
  expect(event && formatEvent(event)).toMatchObject({
    type: 'event',
    conversation,
    seq: 1,
    kind: 'message',
    sender: user,
    body: { text: 'Hello!' },
  })
})

test('[G6] one outside gets not_found', async () => {
  const conversation = await conversationOf([{ text: 'secret' }])
  for (const request of [
    { user: newId(), conversation },
    { user, conversation: newId() },
  ]) {
    const page = await readEvents(tables.db, { ...request, after: 0, limit: 1 })
    expect(page).toMatchObject({ ok: false, code: 'not_found' })
  }
})
