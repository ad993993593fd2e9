import { Code, ConnectError } from '@connectrpc/connect'
import { createMemoryBus } from '@parley/platform/memory/bus'
import type { TestDatabase } from '@parley/platform/postgres/test-database'
import { createInProcessRpc } from '@parley/platform/rpc/in-process'
import { channels, encodeProjected } from '@parley/proto/fan-out'
import { formatId, newId, parseId } from '@parley/proto/ids'
import { partitionOf } from '@parley/proto/partition'
import { DirectoryService } from '@parley/proto/rpc/directory_pb'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createProjectedHeads, type ProjectedHeads } from '../conversations/projected-heads.ts'
import { openTables, storeConversation } from '../http/test-world.ts'
import { directoryRoutes } from './directory-service.ts'

const bus = createMemoryBus()
const rpc = createInProcessRpc()
let tables: TestDatabase
let heads: ProjectedHeads
beforeAll(async () => {
  tables = await openTables()
  heads = await createProjectedHeads({ bus, database: tables.db, partitions: 4 })
  const accounts = { checkSessions: async () => [], jwks: async () => '{"keys":[]}' }
  rpc.serve('directory', directoryRoutes({ db: tables.db, accounts, heads }))
}, 60_000)
afterAll(async () => {
  await heads?.close()
  await tables?.close()
})
const directory = () => rpc.client(DirectoryService, 'directory')

async function conversationOf(users: string[], head = 3): Promise<string> {
  const id = newId()
  await storeConversation(tables.db, {
    id,
    head,
    title: 'Engines',
    members: users.map((user, i) => ({ user, role: i === 0 ? 'owner' : 'member', read: i })),
  })
  return id
}
async function codeOf(call: Promise<unknown>): Promise<Code> {
  return ConnectError.from(
    await call.then(
      () => new Error('it was answered'),
      (e) => e,
    ),
  ).code
}

test('a membership tells the head, the read position and how many members there are', async () => {
  const [ann, ben] = [newId(), newId()]
  const id = await conversationOf([ann, ben])
  const { membership } = await directory().getMembership({
    user: parseId(ben),
    conversation: parseId(id),
  })
  expect(membership).toMatchObject({ head: 3n, from: 1n, read: 1n, memberCount: 2 })
})

test('a conversation’s info is what REST shows to that member', async () => {
  const [ann, ben] = [newId(), newId()].sort() as [string, string]
  const id = await conversationOf([ann, ben])
  const { json } = await directory().getConversationInfo({
    user: parseId(ben),
    conversation: parseId(id),
  })
  expect(JSON.parse(json)).toEqual({
    id,
    kind: 'group',
    title: 'Engines',
    history: 'all',
    head: 3,
    from: 1,
    role: 'member',
    memberCount: 2,
    members: [
      { user: ann, role: 'owner' },
      { user: ben, role: 'member' },
    ],
  })
})

test('[G6] the info of a conversation is NOT_FOUND to one outside, and where there is none', async () => {
  const id = await conversationOf([newId()])
  for (const conversation of [id, newId()]) {
    const request = { user: parseId(newId()), conversation: parseId(conversation) }
    expect(await codeOf(directory().getConversationInfo(request))).toBe(Code.NotFound)
  }
})

test('info and acquaintances are no older than the heads that the caller knows of', async () => {
  const [ann, ben] = [newId(), newId()]
  const id = await conversationOf([ann, ben])
  const user = parseId(ann)
  const conversation = parseId(id)
  const info = directory().getConversationInfo({ user, conversation, knownHead: 4n })
  const known = [{ conversation, head: 4n }]
  const acquaintances = directory().listAcquaintances({ user, users: [parseId(ben)], known })
  await tables.db.transaction(async (sql) => {
    await sql.query('update conversations set head = 4, title = $2 where id = $1', [id, 'Boats'])
    await sql.query('delete from members where user_id = $1', [ben])
  })
  await bus.publish(channels.projected(partitionOf(id, 4)), encodeProjected(new Map([[id, 4]])))
  expect(JSON.parse((await info).json)).toMatchObject({ head: 4, title: 'Boats' })
  expect((await acquaintances).users).toEqual([])
})

test('a head that does not come within 2 s is UNAVAILABLE', async () => {
  const ann = newId()
  const conversation = parseId(await conversationOf([ann]))
  const user = parseId(ann)
  const [info, acquaintances] = await Promise.all([
    codeOf(directory().getConversationInfo({ user, conversation, knownHead: 9n })),
    codeOf(directory().listAcquaintances({ user, known: [{ conversation, head: 9n }] })),
  ])
  expect([info, acquaintances]).toEqual([Code.Unavailable, Code.Unavailable])
})

test('[P5] acquaintances are those who share a conversation, and oneself', async () => {
  const [ann, ben, cat] = [newId(), newId(), newId()]
  await conversationOf([ann, ben])
  await conversationOf([ben, cat])
  const users = [ben, cat, ann, newId()].map(parseId)
  const found = await directory().listAcquaintances({ user: parseId(ann), users })
  expect(found.users.map(formatId).sort()).toEqual([ann, ben].sort())
})

test('[G8] more users or heads than a call may name are INVALID_ARGUMENT', async () => {
  const user = parseId(newId())
  const users = Array.from({ length: 501 }, () => parseId(newId()))
  const known = Array.from({ length: 65 }, () => ({ conversation: parseId(newId()), head: 1n }))
  expect(await codeOf(directory().listAcquaintances({ user, users }))).toBe(Code.InvalidArgument)
  expect(await codeOf(directory().listAcquaintances({ user, known }))).toBe(Code.InvalidArgument)
})
