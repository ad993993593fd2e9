import { existsSync, statSync } from 'node:fs'
import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { expectDone, expectRefused, runCommand, startCommand } from './harness/command.ts'
import { eventually } from './harness/deadline.ts'
import { folderHash } from './harness/folder-hash.ts'
import type { Ack, EventFrame } from './harness/frames.ts'
import { canonical, restEvents, restEventsTo, syncedEvents } from './harness/history.ts'
import { uuid7 } from './harness/ids.ts'
import { type Person, type SignedIn, type World, worldOf } from './harness/people.ts'
import { killTree } from './harness/process-tree.ts'
import {
  runToExit,
  type StandaloneServer,
  startStandalone,
  temporaryFolder,
} from './harness/standalone-server.ts'

/**
 * A backup is taken while people talk, and restored into a new folder: what was acked before it began is there, and
 * what the new log decides goes on from it ([R15]).
 */

const env = { PARLEY_USER_MESSAGES_PER_SECOND: '0' }

let folder: string
let file: string
let server: StandaloneServer
let world: World
let people: [Person, Person, Person]
let busy: string
let quiet: string[]
/** In `busy`, acked before the backup began. */
let before: Message[]
let afterwards: Message[]
let history: Map<string, EventFrame[]>
let listed: Map<string, unknown[]>
/** Of each person, the messages of the quiet ones in their present state. */
let shown: Map<string, unknown[]>
/** How far `cid` had read in `busy`, told by WebSocket and answered `ok` before the backup began. */
const readInBusy = 500

interface Message {
  id: string
  text: string
  ack: Ack
}

beforeAll(async () => {
  folder = await temporaryFolder('backup')
  file = join(folder, 'parley.backup')
  server = await startStandalone({ dataDir: join(folder, 'first'), env })
  world = worldOf(server)
  people = (await world.registerMany(3)) as [Person, Person, Person]
  await fillQuietOnes()
  await backUpWhileTalking()
  history = new Map()
  for (const id of [busy, ...quiet]) history.set(id, await restEvents(world, people[0], id))
  listed = new Map()
  shown = new Map()
  for (const person of people) {
    listed.set(person.id, await quietEntries(world, person))
    shown.set(person.id, await quietMessages(world, person))
  }
  expect(await server.stop()).toBe(0)
}, 180_000)
afterAll(async () => {
  await server?.dispose()
  await rm(folder, { recursive: true, force: true })
})

/** Conversations that nothing happens in while the backup is taken: of every kind, with roles, reads, edits. */
async function fillQuietOnes(): Promise<void> {
  const [ann, ben, cid] = people
  const group = await world.group(ann, [ben, cid], { title: 'Zoë’s 安 \\ "group"' })
  const joined = await world.group(ann, [], { history: 'joined' })
  const channel = await world.group(ben, [ann], { kind: 'channel' })
  const direct = await world.direct(ann, cid)
  quiet = [group, joined, channel, direct]
  const token = ann.accessToken
  const role = { token, body: { role: 'admin' } }
  await world.http.call('PATCH', `/v1/conversations/${group}/members/${ben.id}`, role)
  const socket = await world.connect(ann)
  for (const id of [group, joined, direct]) {
    for (let i = 0; i < 20; i++) await socket.say(id, `${i} to ${id}: 🙂 \\x00 \u2028 "quotes"`)
  }
  const first = await socket.say(group, 'first')
  const second = await socket.say(group, 'second')
  for (const frame of [
    { type: 'edit', target: first.id, body: { text: 'edited' } },
    { type: 'react', target: first.id, emoji: '👍' },
    { type: 'react', target: second.id, emoji: '🎉' },
    { type: 'delete', target: second.id },
  ]) {
    const id = uuid7()
    socket.post({ id, conversation: group, ...frame })
    await socket.wait('ack', (f) => f.id === id)
  }
  const add = { token, body: { members: [ben.id] } }
  await world.http.call('POST', `/v1/conversations/${joined}/members`, add)
  await socket.close()
  await world.http.call('PUT', `/v1/conversations/${group}/read`, {
    token: cid.accessToken,
    body: { seq: 7 },
    expect: 204,
  })
  const entry = () => quietEntries(world, cid).then((all) => all.find((c) => c.id === group))
  await eventually('the position is stored', async () => (await entry())?.read === 7)
}

interface Entry {
  id: string
  read: number
}

async function quietEntries(on: World, person: Person): Promise<Entry[]> {
  const { conversations } = await on.http.call<{ conversations: Entry[] }>(
    'GET',
    '/v1/conversations?limit=500',
    { token: person.accessToken },
  )
  return conversations.filter((c) => quiet.includes(c.id))
}

async function quietMessages(on: World, { accessToken: token }: Person): Promise<unknown[]> {
  const pages = quiet.map((id) =>
    on.http.raw('GET', `/v1/conversations/${id}/messages?limit=500`, { token }),
  )
  /* Not a member of each: that is to be the same as well. */
  return (await Promise.all(pages)).map(({ status, text }) => ({ status, text }))
}

/** More than the ids that a conversation keeps in memory, and on while the backup is taken. */
async function backUpWhileTalking(): Promise<void> {
  const [ann, ben, cid] = people
  busy = await world.group(ann, [ben, cid])
  const sockets = await Promise.all([world.connect(ann), world.connect(ben, 'parley.v1.msgpack')])
  const acked: Message[] = []
  let talking = true
  const talk = async (socket: (typeof sockets)[number]) => {
    while (talking) {
      const message = { id: uuid7(), text: `message ${acked.length}` }
      const ack = await socket.say(busy, message.text, { id: message.id })
      acked.push({ ...message, ack })
    }
  }
  const talkers = sockets.flatMap((s) => Array.from({ length: 8 }, () => talk(s)))
  await eventually('there is more than is kept', () => acked.length > 1_200, { deadlineMs: 60_000 })
  const reader = await world.connect(cid, 'parley.v1.msgpack')
  reader.post({ type: 'read', conversation: busy, seq: readInBusy, ref: 'r' })
  await reader.wait('ok', (f) => f.ref === 'r')
  await reader.close()
  before = [...acked]
  const backup = await runCommand('backup', [file], { dataDir: server.dataDir })
  const during = acked.length
  await eventually('they went on talking', () => acked.length > during + 100)
  talking = false
  await Promise.all(talkers)
  await Promise.all(sockets.map((s) => s.close()))
  afterwards = acked.slice(before.length)
  expectDone(backup)
  expect(backup.stdout).toContain('keep it secret')
  await restEventsTo(world, ann, busy, acked.length + 1)
}

test('a backup is readable by its owner only, and never written over another file', async () => {
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expectRefused(await runCommand('backup', [file], { dataDir: server.dataDir }), /is there already/)
  const none = join(folder, 'none')
  const refused = await runCommand('backup', [none], { dataDir: server.dataDir })
  expectRefused(refused, /no Parley runs/)
  expect(existsSync(none)).toBe(false)
})

describe('restored into a new folder', () => {
  let restored: StandaloneServer
  let there: World
  let head: number

  beforeAll(async () => {
    const dataDir = join(folder, 'second')
    const finished = await runCommand('restore', [file], { dataDir })
    expectDone(finished)
    expect(finished.stdout).toContain(dataDir)
    restored = await startStandalone({ dataDir, env })
    there = worldOf(restored)
  }, 120_000)
  afterAll(() => restored?.dispose())

  test('accounts sign in with their passwords, their access tokens and their refresh tokens', async () => {
    for (const person of people) {
      const token = person.accessToken
      expect(await there.http.call('GET', '/v1/users/me', { token })).toMatchObject({
        id: person.id,
      })
      const body = { refreshToken: person.refreshToken }
      const renewed = await there.http.call<SignedIn>('POST', '/v1/auth/refresh', { body })
      expect(renewed.user.id).toBe(person.id)
      const { username, password } = person
      await there.http.call('POST', '/v1/auth/login', { body: { username, password } })
      Object.assign(person, renewed)
    }
  })

  test('[G1][G3] history is that of the backup: all that was acked before it began, and no hole', async () => {
    const events = await restEvents(there, people[0], busy)
    head = events.length
    const all = history.get(busy) as EventFrame[]
    expect(events.map(canonical)).toEqual(all.slice(0, head).map(canonical))
    expect(head).toBeGreaterThanOrEqual(Math.max(...before.map((m) => m.ack.seq)))
    expect(head).toBeLessThan(all.length)
    for (const id of quiet.filter((c) => c !== quiet[2])) {
      const read = await restEvents(there, people[0], id)
      expect(read.map(canonical)).toEqual(history.get(id)?.map(canonical))
    }
    const socket = await there.connect(people[1], 'parley.v1.msgpack')
    const synced = await syncedEvents(socket, busy)
    expect(synced.map(canonical)).toEqual(events.map(canonical))
    await socket.close()
  })

  test('[G9] read positions, roles and unread counts are exact', async () => {
    for (const person of people) {
      expect(await quietEntries(there, person)).toEqual(listed.get(person.id))
      expect(await quietMessages(there, person)).toEqual(shown.get(person.id))
    }
    const entry = (await quietEntries(there, people[2])).find((c) => c.id === quiet[0])
    expect(entry).toMatchObject({ read: 7, unread: 16, role: 'member', title: expect.any(String) })
    const socket = await there.connect(people[2])
    const known = new Map(socket.welcome.conversations.map((c) => [c.id, c.read]))
    expect(known.get(quiet[0] as string)).toBe(7)
    expect(known.get(busy)).toBe(readInBusy)
    await socket.close()
  })

  test('[G2][R15] a retry of an old id gets its first seq, and its id is taken for ever', async () => {
    const kept = before.at(-1) as Message
    const dropped = before[0] as Message
    const [ann, ben] = await Promise.all([there.connect(people[0]), there.connect(people[1])])
    const all = history.get(busy) as EventFrame[]
    for (const { id, text, ack } of [kept, dropped, kept]) {
      const sender = all.find((e) => e.id === id)?.sender
      const socket = sender === people[0].id ? ann : ben
      const again = await socket.send(busy, { text }, { id, retry: true })
      expect(again).toMatchObject({ type: 'ack', seq: ack.seq, at: ack.at, duplicate: true })
      const other = await socket.send(busy, { text: 'something else' }, { id })
      expect(other).toMatchObject({ type: 'error', code: 'id_conflict' })
    }
    await Promise.all([ann.close(), ben.close()])
  })

  test('[R15] new messages go on with the next seq, also those that came after the backup and are sent again', async () => {
    const { text, id, ack } = afterwards.at(-1) as Message
    expect(ack.seq).toBeGreaterThan(head)
    const socket = await there.connect(people[0])
    const listener = await there.connect(people[1])
    const lost = await socket.send(busy, { text }, { id, retry: true })
    expect(lost).toMatchObject({ type: 'ack', seq: head + 1 })
    expect((await socket.say(busy, 'and on')).seq).toBe(head + 2)
    await listener.wait('event', (e) => e.conversation === busy && e.seq === head + 2)
    for (const conversation of [quiet[0], quiet[1], quiet[3]] as string[]) {
      const last = history.get(conversation)?.length as number
      expect((await socket.say(conversation, 'next')).seq).toBe(last + 1)
    }
    const events = await restEventsTo(there, people[2], busy, head + 2)
    expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1))
    await Promise.all([socket.close(), listener.close()])
  })

  test('[R15] a backup of what was restored is restored as well, and both stand a kill', async () => {
    const second = join(folder, 'second.backup')
    const dataDir = join(folder, 'third')
    await restored.kill()
    await restored.restart()
    expectDone(await runCommand('backup', [second], { dataDir: restored.dataDir }))
    expectDone(await runCommand('restore', [second], { dataDir }))
    const third = await startStandalone({ dataDir, env })
    try {
      const on = worldOf(third)
      const socket = await on.connect(people[0])
      expect((await socket.say(busy, 'in the third')).seq).toBe(head + 3)
      await third.kill()
      await third.restart()
      const again = await on.connect(people[0])
      expect((await again.say(busy, 'still there')).seq).toBe(head + 4)
      const first = await restEventsTo(there, people[0], busy, head + 2)
      const last = await restEventsTo(on, people[0], busy, head + 4)
      expect(last.slice(0, head + 2).map(canonical)).toEqual(first.map(canonical))
      await again.close()
    } finally {
      await third.dispose()
    }
  })
})

describe('a restore that can’t be', () => {
  test('a damaged backup is refused, and nothing is made', async () => {
    const whole = await readFile(file)
    const damaged = join(folder, 'damaged.backup')
    const dataDir = join(folder, 'never')
    const flip = async (at: number) => {
      const bytes = Buffer.from(whole)
      bytes[at] = (bytes[at] as number) ^ 0x10
      await writeFile(damaged, bytes)
    }
    const damages = [
      () => flip(0),
      () => flip(40),
      () => flip(whole.length >> 1),
      () => flip(whole.length - 10),
      () => truncate(damaged, whole.length - 1),
      () => truncate(damaged, whole.length >> 1),
      () => truncate(damaged, 0),
      () => writeFile(damaged, Buffer.concat([whole, whole])),
      () => writeFile(damaged, 'something else\n'),
    ]
    for (const damage of damages) {
      await writeFile(damaged, whole)
      await damage()
      expectRefused(await runCommand('restore', [damaged], { dataDir }), /damaged|no backup/)
      expect(existsSync(dataDir)).toBe(false)
    }
    const missing = join(folder, 'missing.backup')
    expectRefused(await runCommand('restore', [missing], { dataDir }), /can't be read.*missing/)
  })

  test('a folder with anything in it is refused and stays as it was', async () => {
    const dataDir = join(folder, 'first')
    const hashes = await folderHash(dataDir)
    expectRefused(await runCommand('restore', [file], { dataDir }), /is not empty/)
    expect(await folderHash(dataDir)).toEqual(hashes)
    const other = join(folder, 'other')
    await mkdir(other)
    await writeFile(join(other, 'precious'), 'precious')
    expectRefused(await runCommand('restore', [file], { dataDir: other }), /is not empty/)
    expect(Object.keys(await folderHash(other))).toEqual(['precious'])
  })

  test('another PARLEY_KEY_SECRET is refused, since every session would end', async () => {
    const dataDir = join(folder, 'other-secret')
    const options = { dataDir, env: { PARLEY_KEY_SECRET: 'x'.repeat(40) } }
    expectRefused(await runCommand('restore', [file], options), /PARLEY_KEY_SECRET/)
    expect(existsSync(dataDir)).toBe(false)
  })

  test('killed midway it leaves a folder that says so, and that nobody starts on', async () => {
    const dataDir = join(folder, 'killed')
    const restore = startCommand('restore', [file], { dataDir })
    await eventually('it is at work', () => existsSync(join(dataDir, 'postgres/data')), {
      everyMs: 1,
    })
    await killTree(restore.pid)
    expect(existsSync(join(dataDir, 'restore-unfinished.json'))).toBe(true)
    expectRefused(await runToExit({ dataDir }), new RegExp(dataDir))
    expectRefused(await runCommand('restore', [file], { dataDir }), /did not finish/)
  })

  test('told to stop, it exits 1 and leaves the same', async () => {
    const dataDir = join(folder, 'stopped')
    const restore = startCommand('restore', [file], { dataDir })
    await eventually('it is at work', () => existsSync(join(dataDir, 'restore-unfinished.json')), {
      everyMs: 1,
    })
    process.kill(restore.pid, 'SIGTERM')
    expect((await restore.finished()).code).toBe(1)
    expect(existsSync(join(dataDir, 'restore-unfinished.json'))).toBe(true)
  })
})
