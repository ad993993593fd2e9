import { decodeEventFrame, formatEvent } from '@parley/proto/event-frame'
import type { Event, History } from '@parley/proto/frames'
import type { ConversationSummary, Message } from '@parley/proto/rest'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listConversations } from './conversation-list.ts'
import { readEvents } from './event-pages.ts'
import { readMessages } from './message-pages.ts'
import { presentView } from './present-view.ts'
import { histories, idOf, openProjectedTables, type ProjectedTables } from './projected-tables.ts'

let tables: ProjectedTables
beforeAll(async () => {
  tables = await openProjectedTables()
}, 60_000)
afterAll(() => tables?.close(), 30_000)

const users = [0, 1, 2, 3, 4, 5].map((n) => idOf('b', n))

/** All pages of this size. */
async function allMessages(user: string, conversation: string, limit: number) {
  const messages: Message[] = []
  for (;;) {
    const before = messages.at(-1)?.seq
    const wanted = { user, conversation, limit }
    const page = await readMessages(
      tables.db,
      before === undefined ? wanted : { ...wanted, before },
    )
    if (!page.ok) return page.code
    messages.push(...page.messages)
    if (!page.more) return messages
    expect(page.messages.length).toBeGreaterThan(0)
  }
}

async function allEvents(user: string, conversation: string, limit: number) {
  const events: Event[] = []
  for (;;) {
    const after = events.at(-1)?.seq ?? 0
    const page = await readEvents(tables.db, { user, conversation, after, limit })
    if (!page.ok) return page.code
    events.push(...page.events.map(formatEvent))
    if (!page.more) return { events, head: page.head, from: page.from }
  }
}

async function allConversations(user: string, limit: number) {
  const found = new Map<string, ConversationSummary>()
  let after: Parameters<typeof listConversations>[1]['after']
  for (;;) {
    const wanted = { user, limit }
    const page = await listConversations(tables.db, after ? { ...wanted, after } : wanted)
    for (const { entry } of page.conversations) found.set(entry.id, entry)
    after = page.conversations.at(-1)?.place
    if (!page.more) return found
  }
}

test('[G4] [G6] [G9] [B6] [S11] [S13] [H12] [H13] after any events and positions every read is what a plain list of the events says', async () => {
  const position = fc.record({
    c: fc.nat(2),
    user: fc.nat(5),
    seq: fc.integer({ min: 1, max: 70 }),
  })
  let unread = 0
  await fc.assert(
    fc.asyncProperty(
      histories,
      fc.array(position, { maxLength: 12 }),
      fc.integer({ min: 1, max: 5 }),
      async (history, positions, limit) => {
        await tables.project(history.records)
        await tables.read(
          positions.map(({ c, user, seq }) => ({
            conversation: idOf('c', c),
            user: users[user] as string,
            seq,
          })),
        )
        const log = history.outcomes.flatMap(({ entry }) => (entry ? [entry] : []))
        for (const [n, user] of users.entries()) {
          const listed = await allConversations(user, limit)
          for (const c of [0, 1, 2]) {
            const conversation = idOf('c', c)
            const told = log.map((entry) => decodeEventFrame(entry.frame))
            const events = told.filter((e) => e.conversation === conversation)
            const cursors = positions.filter((p) => p.c === c && p.user === n).map((p) => p.seq)
            const by = { user, history: historyOf(c), cursor: Math.max(0, ...cursors) }
            const view = events.length === 0 ? undefined : presentView(events, by)
            const messages = await allMessages(user, conversation, limit)
            const page = await allEvents(user, conversation, limit)
            if (view === undefined) {
              expect([messages, page, listed.get(conversation)]).toEqual([
                'not_found',
                'not_found',
                undefined,
              ])
              continue
            }
            const { head, from, read } = view
            unread += view.unread
            expect(messages).toEqual(view.messages)
            expect(page).toEqual({ events: view.events, head, from })
            const entry = listed.get(conversation)
            expect(entry).toMatchObject({ head, from, read, unread: view.unread })
            expect(entry?.lastMessage).toEqual(view.messages[0])
          }
        }
      },
    ),
    { numRuns: 25 },
  )
  expect(unread).toBeGreaterThan(0)
}, 120_000)

/** As the histories have it. */
function historyOf(c: number): History {
  return c === 0 ? 'joined' : 'all'
}
