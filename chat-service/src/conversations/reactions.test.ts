import type { Event, ReactionBody } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readMessages } from './message-pages.ts'
import {
  entryFor,
  idOf,
  openProjectedTables,
  type ProjectedTables,
  recordOf,
} from './projected-tables.ts'
import { maxEmojis } from './reactions.ts'

let tables: ProjectedTables
beforeAll(async () => {
  tables = await openProjectedTables()
}, 60_000)
afterAll(() => tables?.close(), 30_000)

const conversation = idOf('c', 1)
const userOf = (n: number) => idOf('b', n)
const message = idOf('a', 2)

/** A conversation with one message and these reactions to it. */
async function project(reactions: { user: number; body: ReactionBody }[]): Promise<void> {
  const base = { type: 'event' as const, conversation, sender: userOf(0) }
  const users = Array.from({ length: 500 }, (_, n) => userOf(n))
  const events: Event[] = [
    { ...base, seq: 1, id: idOf('a', 1), kind: 'created', at: 1, body: { kind: 'group', users } },
    { ...base, seq: 2, id: message, kind: 'message', at: 2, body: { text: 'react!' } },
    ...reactions.map(({ user, body }, i) => {
      const seq = i + 3
      const by = { sender: userOf(user), target: message }
      return { ...base, ...by, seq, id: idOf('a', seq), kind: 'reaction' as const, at: seq, body }
    }),
  ]
  const entries = events.map((event) => {
    const entry = entryFor(event, { offset: event.seq, index: 0 })
    return event.kind === 'created' ? { ...entry, history: 'all' as const } : entry
  })
  await tables.project([recordOf(0, { offset: events.length + 1, index: 0 }, entries)])
}

async function reactionsFor(user: number) {
  const wanted = { user: userOf(user), conversation, limit: limits.pageEntries }
  const page = await readMessages(tables.db, wanted)
  if (!page.ok) throw new Error(page.message)
  return page.messages[0]?.reactions
}

test('[S11] [H13] each emoji comes once, with its number and whether one is among those, the oldest first', async () => {
  await project([
    { user: 1, body: { emoji: '👍' } },
    { user: 2, body: { emoji: '❤️' } },
    { user: 3, body: { emoji: '👍' } },
    { user: 3, body: { emoji: '❤️' } },
    { user: 1, body: { emoji: '👍', remove: true } },
  ])
  expect(await reactionsFor(3)).toEqual([
    { emoji: '❤️', count: 2, mine: true },
    { emoji: '👍', count: 1, mine: true },
  ])
  expect(await reactionsFor(1)).toEqual([
    { emoji: '❤️', count: 2, mine: false },
    { emoji: '👍', count: 1, mine: false },
  ])
})

test('an emoji is any string of its length, and a page says it as it was', async () => {
  const emojis = ['a\0b', '\u{FEFF}', '"', '🏳️‍🌈', '\\', 'é', 'e\u0301', 'x'.repeat(32)]
  await project(emojis.map((emoji) => ({ user: 1, body: { emoji } })))
  expect((await reactionsFor(1))?.map((r) => r.emoji)).toEqual(emojis)
})

test('[G8] [H13] however many there are, a message shows the first of them', async () => {
  const many = Array.from({ length: 450 }, (_, n) => ({ user: n, body: { emoji: '👍' } }))
  const wild = Array.from({ length: 80 }, (_, n) => ({ user: n, body: { emoji: `${n}` } }))
  await project([...many, ...wild])
  const shown = await reactionsFor(60)
  expect(shown).toHaveLength(maxEmojis)
  expect(shown?.[0]).toEqual({ emoji: '👍', count: 450, mine: true })
  expect(shown?.slice(1).map((r) => r.emoji)).toEqual(
    wild.slice(0, maxEmojis - 1).map((w) => w.body.emoji),
  )
})
