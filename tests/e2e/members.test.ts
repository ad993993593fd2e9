import { afterAll, beforeAll, expect, test } from 'vitest'
import { subprotocols } from './harness/frames.ts'
import { liveEvents, restEventsTo } from './harness/history.ts'
import { uuid7 } from './harness/ids.ts'
import { type ConversationInfo, type Person, type World, worldOf } from './harness/people.ts'
import type { SocketClient } from './harness/socket-client.ts'
import type { Stack } from './harness/stack.ts'
import { startStandalone } from './harness/standalone-server.ts'

let stack: Stack
let world: World
let owner: Person
let member: Person
let outsider: Person

beforeAll(async () => {
  stack = await startStandalone({ env: { PARLEY_USER_MESSAGES_PER_SECOND: '0' } })
  world = worldOf(stack)
  ;[owner, member, outsider] = (await world.registerMany(3)) as [Person, Person, Person]
}, 90_000)
afterAll(() => stack?.dispose())

function add(conversation: string, people: readonly Person[], by = owner) {
  return world.http.raw('POST', `/v1/conversations/${conversation}/members`, {
    token: by.accessToken,
    body: { members: people.map((p) => p.id) },
  })
}
function remove(conversation: string, person: Person, by = owner) {
  return world.http.raw('DELETE', `/v1/conversations/${conversation}/members/${person.id}`, {
    token: by.accessToken,
  })
}
async function info(conversation: string, person: Person) {
  const answer = await world.http.call<{ conversation: ConversationInfo }>(
    'GET',
    `/v1/conversations/${conversation}`,
    { token: person.accessToken },
  )
  return answer.conversation
}

test('[G6] to someone outside, a conversation is as if it were not there', async () => {
  const conversation = await world.group(owner, [member])
  const token = outsider.accessToken
  for (const id of [conversation, uuid7()]) {
    const path = `/v1/conversations/${id}`
    const message = { id: uuid7(), body: { text: 'let me in' } }
    const answers = await Promise.all([
      world.http.problem('GET', path, { token }),
      world.http.problem('GET', `${path}/events?after=0`, { token }),
      world.http.problem('GET', `${path}/messages`, { token }),
      world.http.problem('POST', `${path}/messages`, { token, body: message }),
      world.http.problem('PATCH', path, { token, body: { title: 'mine' } }),
      world.http.problem('POST', `${path}/members`, { token, body: { members: [outsider.id] } }),
      world.http.problem('DELETE', `${path}/members/${member.id}`, { token }),
    ])
    for (const answer of answers) expect(answer).toMatchObject({ status: 404, code: 'not_found' })
    for (const protocol of subprotocols) {
      const socket = await world.connect(outsider, protocol)
      expect(await socket.send(id, { text: 'let me in' })).toMatchObject({ code: 'not_found' })
      await expect(socket.sync(id, 0)).rejects.toThrow(/not_found/)
      await socket.close()
    }
  }
  expect((await info(conversation, owner)).head).toBe(1)
})

test('[G6] [H9] who is added hears it at once, and sees what `history` lets them', async () => {
  for (const history of ['all', 'joined']) {
    const conversation = await world.group(owner, [member], { history })
    const speaker = await world.connect(owner)
    const socket = await world.connect(outsider, 'parley.v1.msgpack')
    await speaker.say(conversation, 'before')
    const from = socket.journal.length
    expect((await add(conversation, [outsider])).status).toBeLessThan(300)
    await socket.wait(
      'conversation',
      (f) => f.conversation === conversation && f.change === 'added',
      { from },
    )
    const { seq } = await speaker.say(conversation, 'after')
    await socket.wait('event', (e) => e.conversation === conversation && e.seq === seq)
    const expected = history === 'all' ? [1, 2, 3, 4] : [3, 4]
    const events = await restEventsTo(world, outsider, conversation, 4)
    expect(events.map((e) => e.seq)).toEqual(expected)
    expect((await socket.sync(conversation, 0)).events.map((e) => e.seq)).toEqual(expected)
    expect((await info(conversation, outsider)).from).toBe(expected[0])
    expect(events.at(-2)).toMatchObject({ kind: 'joined', body: { users: [outsider.id] } })
    expect((await socket.send(conversation, { text: 'hello' })).type).toBe('ack')
    await speaker.close()
    await socket.close()
  }
})

test('[G6] [Y8] a removal is exact: nothing after it, and `removed` within 5 s', async () => {
  const conversation = await world.group(owner, [member, outsider])
  const speaker = await world.connect(owner)
  const stays = await world.connect(member)
  const leavers = await Promise.all(subprotocols.map((p) => world.connect(outsider, p)))
  let talking = true
  const talk = (async () => {
    for (let i = 0; talking && i < 2_000; i++) {
      await speaker.say(conversation, `${i}`)
    }
  })()
  await (leavers[0] as SocketClient).wait('event', (e) => e.seq > 5)
  expect((await remove(conversation, outsider)).status).toBe(204)
  for (const socket of leavers) {
    await socket.wait('conversation', (f) => f.change === 'removed', { deadlineMs: 5_000 })
  }
  talking = false
  await talk
  const { seq: last } = await speaker.say(conversation, 'without them')
  await stays.wait('event', (e) => e.conversation === conversation && e.seq === last)
  const all = await restEventsTo(world, owner, conversation, last)
  const left = all.find((e) => e.kind === 'left')
  if (left === undefined) throw new Error('no `left` event')
  expect(left.body).toEqual({ users: [outsider.id] })
  for (const socket of leavers) {
    const seqs = liveEvents(socket, conversation).map((e) => e.seq)
    expect(Math.max(...seqs)).toBeLessThanOrEqual(left.seq)
    expect(await socket.send(conversation, { text: 'still here?' })).toMatchObject({
      code: 'not_found',
    })
    await expect(socket.sync(conversation, 0)).rejects.toThrow(/not_found/)
  }
  const refused = await world.http.problem('GET', `/v1/conversations/${conversation}`, {
    token: outsider.accessToken,
  })
  expect(refused.status).toBe(404)
  await Promise.all([speaker, stays, ...leavers].map((socket) => socket.close()))
})

test('[S9] rights: a member changes nothing, an admin members and title, an owner roles', async () => {
  const conversation = await world.group(owner, [member])
  const path = `/v1/conversations/${conversation}`
  const retitle = (person: Person, title: string) =>
    world.http.raw('PATCH', path, { token: person.accessToken, body: { title } })
  const setRole = (by: Person, person: Person, role: string) =>
    world.http.raw('PATCH', `${path}/members/${person.id}`, {
      token: by.accessToken,
      body: { role },
    })
  expect((await retitle(member, 'mine')).status).toBe(403)
  expect((await add(conversation, [outsider], member)).status).toBe(403)
  expect((await remove(conversation, owner, member)).status).toBe(403)
  expect((await setRole(member, member, 'owner')).status).toBe(403)
  expect((await setRole(owner, member, 'admin')).status).toBeLessThan(300)
  expect((await info(conversation, member)).role).toBe('admin')
  expect((await retitle(member, 'Ours')).status).toBeLessThan(300)
  expect((await info(conversation, owner)).title).toBe('Ours')
  expect((await add(conversation, [outsider], member)).status).toBeLessThan(300)
  expect((await setRole(member, outsider, 'owner')).status).toBe(403)
  const leaves = await remove(conversation, owner, owner)
  expect([403, 409]).toContain(leaves.status)
  expect((await setRole(owner, member, 'owner')).status).toBeLessThan(300)
  expect((await remove(conversation, owner, owner)).status).toBe(204)
  expect((await info(conversation, member)).memberCount).toBe(2)
})

test('a direct conversation keeps its two members and has no title', async () => {
  const conversation = await world.direct(owner, member)
  expect((await add(conversation, [outsider])).status).toBe(403)
  const titled = await world.http.raw('PATCH', `/v1/conversations/${conversation}`, {
    token: owner.accessToken,
    body: { title: 'us' },
  })
  expect(titled.status).toBe(403)
})
