import { newId } from '@parley/proto/ids'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestWorld, type Person, storeConversation, type TestWorld } from './test-world.ts'

let world: TestWorld
let ada: Person
let eve: Person
beforeAll(async () => {
  world = await openTestWorld()
  ada = await world.person('ada')
  eve = await world.person('eve')
}, 60_000)
afterAll(() => world?.close())
beforeEach(() => {
  world.cursors.length = 0
})

async function conversationOf(head: number, read = 0): Promise<string> {
  const id = newId()
  await storeConversation(world.database, { id, head, members: [{ user: ada.id, read }] })
  return id
}

const put = (who: Person | undefined, id: string, payload?: object) => {
  const url = `/v1/conversations/${id}/read`
  return world.call(who, { method: 'PUT', url, ...(payload ? { payload } : {}) })
}

test('[P4] [G9] a position goes through the log, once, and is answered 204 when reads show it', async () => {
  const conversation = await conversationOf(9, 2)
  const cursor = { conversation, user: ada.id, head: 9 }
  for (const seq of [5, 5, 3, 9]) {
    const { status, body } = await put(ada, conversation, { seq, more: 1 })
    expect([status, body]).toEqual([204, ''])
  }
  expect(world.cursors).toEqual([
    { ...cursor, seq: 5 },
    { ...cursor, seq: 9 },
  ])
  const { body } = await world.call(ada, { url: '/v1/conversations' })
  expect(body.conversations[0]).toMatchObject({ id: conversation, read: 9, unread: 0 })
})

test('[P4] beyond the head it counts as the head, once the head may have come', async () => {
  const conversation = await conversationOf(4)
  const far = await put(ada, conversation, { seq: Number.MAX_SAFE_INTEGER })
  expect(far.status).toBe(204)
  expect(world.cursors).toEqual([{ conversation, user: ada.id, seq: 4, head: 4 }])
})

test('[G6] to one outside it is 404, to one without a token 401, and what is no seq is 400', async () => {
  const conversation = await conversationOf(4)
  const outside = await put(eve, conversation, { seq: 1 })
  const nowhere = await put(eve, newId(), { seq: 1 })
  expect([outside.status, outside.body.code]).toEqual([404, 'not_found'])
  expect(outside.body).toEqual(nowhere.body)
  expect((await put(undefined, conversation, { seq: 1 })).status).toBe(401)
  const payloads = [
    undefined,
    {},
    { seq: null },
    { seq: '1' },
    { seq: 0 },
    { seq: -1 },
    { seq: 1.5 },
    { seq: 2 ** 53 },
    { seq: [1] },
  ]
  for (const payload of payloads) {
    const { status, body } = await put(ada, conversation, payload)
    expect([status, body.code], JSON.stringify(payload)).toEqual([400, 'invalid'])
  }
  expect((await put(ada, 'nonsense', { seq: 1 })).body.code).toBe('invalid')
  expect(world.cursors).toEqual([])
})
