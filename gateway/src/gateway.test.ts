import { newId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { connect, welcomed } from './testing/client.ts'
import { createWorld, errorsLogged, type World, type WorldOptions } from './testing/world.ts'

let worlds: World[] = []
afterEach(async () => {
  await Promise.all(worlds.map((world) => world.stop()))
  worlds = []
  expect(errorsLogged.splice(0)).toEqual([])
})
async function start(options: WorldOptions = {}): Promise<World> {
  const world = await createWorld(options)
  worlds.push(world)
  return world
}
const [ann, ben] = [newId(), newId()]
const protocols = ['parley.v1.json', 'parley.v1.msgpack'] as const

describe('hello', () => {
  test.each(protocols)(
    'is answered by welcome with the user’s conversations (%s)',
    async (subprotocol) => {
      const world = await start()
      const conversation = world.create([ann, ben], 3)
      const session = newId()
      const { welcome } = await welcomed(world, ann, { subprotocol, session })
      expect(welcome).toMatchObject({
        user: ann,
        session,
        conversations: [{ id: conversation, head: 4, from: 1, read: 0 }],
        more: false,
        limits: { frameBytes: 65_536, inFlight: 32, messagesPerSecond: 50 },
      })
      expect(Math.abs(welcome.time - Date.now())).toBeLessThan(2_000)
    },
  )

  test('those that arrive together share a call to the directory', async () => {
    const world = await start()
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(world.url)))
    const tokens = await Promise.all(clients.map(() => world.token(newId())))
    clients.forEach((client, i) => {
      client.send({ type: 'hello', token: tokens[i] as string, device: 'd' })
    })
    await Promise.all(clients.map((client) => client.frame('welcome')))
    expect(world.directory.calls.lists.reduce((sum, count) => sum + count, 0)).toBe(20)
    expect(world.directory.calls.lists.length).toBeLessThan(10)
    expect(world.directory.calls.keys).toBe(1)
  })

  test('[C4] while the directory is away is `unavailable`, retryable, and closes 1011', async () => {
    const world = await start()
    await welcomed(world, ann)
    world.directory.away = true
    const client = await connect(world.url)
    client.send({ type: 'hello', token: await world.token(ann), device: 'd' })
    expect(await client.frame('error')).toMatchObject({ code: 'unavailable', retryable: true })
    expect((await client.closed()).code).toBe(1011)
  })

  test('[C7] lists the latest 1,000 and follows all', async () => {
    const world = await start()
    const ids = Array.from({ length: 1_001 }, () => world.create([ann]))
    const client = await welcomed(world, ann)
    expect(client.welcome.conversations).toHaveLength(1_000)
    expect(client.welcome.more).toBe(true)
    await world.append(ids[1_000] as string, [{}])
    await client.frame('event', (event) => event.conversation === ids[1_000])
  })

  test('[C3] never said closes 4004', async () => {
    const world = await start({ bounds: { helloMs: 100 } })
    const client = await connect(world.url)
    expect((await client.closed()).code).toBe(4004)
  })
})

describe('send', () => {
  test.each(protocols)(
    '[G1] gets its ack and, like every member, the event (%s)',
    async (subprotocol) => {
      const world = await start()
      const conversation = world.create([ann, ben])
      const sender = await welcomed(world, ann, { subprotocol })
      const readers = await Promise.all(
        protocols.map((protocol) => welcomed(world, ben, { subprotocol: protocol })),
      )
      const id = newId()
      sender.send({ type: 'send', id, conversation, body: { text: 'héllo' } })
      const ack = await sender.frame('ack')
      expect(ack).toMatchObject({ id, conversation, seq: 2 })
      for (const reader of [sender, ...readers]) {
        expect(await reader.frame('event')).toEqual({
          type: 'event',
          conversation,
          seq: 2,
          id,
          kind: 'message',
          sender: ann,
          at: ack.at,
          body: { text: 'héllo' },
        })
      }
    },
  )

  test('[G2] the same id again gets the same seq', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    const frame = { type: 'send' as const, id: newId(), conversation, body: { text: 'x' } }
    client.send(frame)
    const first = await client.frame('ack')
    client.send({ ...frame, retry: true })
    expect(await client.frame('ack', ({ duplicate }) => duplicate === true)).toEqual({
      ...first,
      duplicate: true,
    })
  })

  test('many at once leave in few records and come back in order', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    const ids = Array.from({ length: 30 }, () => newId())
    client.send(
      ...ids.map((id) => ({ type: 'send' as const, id, conversation, body: { text: id } })),
    )
    await client.until(() => client.seqs(conversation).length === 30, 'not all events came')
    expect(client.events(conversation).map(({ id }) => id)).toEqual(ids)
    expect(world.records.length).toBeLessThan(10)
  })

  test('[G5] [S8] when the log is away later ones are held back until the first comes again', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    const [first, second] = [newId(), newId()]
    const send = (id: string) =>
      client.send({ type: 'send', id, conversation, body: { text: 'x' } })
    world.faults.rejectAppends = true
    send(first)
    await client.frame('error', (error) => error.id === first && error.code === 'unavailable')
    world.faults.rejectAppends = false
    send(second)
    await client.frame('error', (error) => error.id === second && error.code === 'unavailable')
    send(first)
    send(second)
    await client.frame('ack', ({ id }) => id === second)
    expect(client.events(conversation).map(({ id }) => id)).toEqual([first, second])
  })

  test('[G6] to a foreign conversation is refused by its owner', async () => {
    const world = await start()
    const conversation = world.create([ben])
    const client = await welcomed(world, ann)
    const id = newId()
    client.send({ type: 'send', id, conversation, body: { text: 'x' } })
    expect(await client.frame('error')).toMatchObject({ code: 'not_found', id })
  })

  test('[G8] without a reply in time is `unavailable`', async () => {
    const world = await start({ bounds: { replyTimeoutMs: 100 } })
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    world.faults.silent = true
    client.send({ type: 'send', id: newId(), conversation, body: { text: 'x' } })
    expect(await client.frame('error')).toMatchObject({ code: 'unavailable', retryable: true })
  })
})

describe('membership', () => {
  test('[G7] who is added gets `added`, then the event or a gap, then what follows', async () => {
    const world = await start()
    const busy = world.create([ben], 5)
    const quiet = world.create([newId()], 5)
    await welcomed(world, ben)
    const client = await welcomed(world, ann)
    for (const conversation of [busy, quiet]) {
      const seq = await world.add(conversation, ann)
      await client.frame('conversation', (frame) => frame.conversation === conversation)
      await client.until(
        () =>
          client.seqs(conversation).includes(seq) ||
          client.frames.some((f) => f.type === 'gap' && f.conversation === conversation),
        'neither event nor gap',
      )
      await world.append(conversation, [{}])
      await client.until(() => client.seqs(conversation).includes(seq + 1), 'the next did not come')
    }
  })

  test('[G6] who is removed gets events up to the removal, `removed`, and nothing after', async () => {
    const world = await start()
    const conversation = world.create([ann, ben])
    const gone = await welcomed(world, ann)
    const stays = await welcomed(world, ben)
    await world.append(conversation, [{}])
    const seq = await world.remove(conversation, ann)
    await world.append(conversation, [{}, {}])
    await stays.until(() => stays.seqs(conversation).at(-1) === seq + 2, 'ben did not get all')
    await gone.frame('conversation', ({ change }) => change === 'removed')
    expect(gone.seqs(conversation)).toEqual([2, 3])
    gone.send({ type: 'sync', ref: 's', conversation, after: 0 })
    expect(await gone.frame('error')).toMatchObject({ code: 'not_found', ref: 's' })
  })

  test('[G6] [Y7] a lost removal leaks nothing that comes after it', async () => {
    const world = await start()
    const conversation = world.create([ann, ben])
    const gone = await welcomed(world, ann)
    const stays = await welcomed(world, ben)
    world.faults.losePublishes = true
    await world.remove(conversation, ann)
    world.faults.losePublishes = false
    await world.append(conversation, [{}])
    await gone.frame('conversation', ({ change }) => change === 'removed')
    await stays.frame('gap')
    expect(gone.seqs(conversation)).toEqual([])
    expect(gone.frames.some(({ type }) => type === 'gap')).toBe(false)
  })
})

describe('[G7] [Y6] lost publishes', () => {
  test('show with the next one: a gap, after the membership was checked', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    world.faults.losePublishes = true
    await world.append(conversation, [{}, {}])
    world.faults.losePublishes = false
    await world.append(conversation, [{}])
    expect(await client.frame('gap')).toMatchObject({ conversation, head: 4 })
    expect(world.directory.calls.checks).toBe(1)
    await world.append(conversation, [{}])
    await client.until(() => client.seqs(conversation).at(-1) === 5, 'does not go on')
    expect(client.seqs(conversation)).toEqual([5])
  })

  test('show with the head that the owner announces', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    world.faults.losePublishes = true
    await world.append(conversation, [{}])
    world.faults.losePublishes = false
    await world.announce(conversation)
    expect(await client.frame('gap')).toMatchObject({ conversation, head: 2 })
  })

  test('are told once the directory is back', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    world.faults.losePublishes = true
    await world.append(conversation, [{}])
    world.faults.losePublishes = false
    world.directory.away = true
    await world.append(conversation, [{}])
    client.send({ type: 'ping' })
    await client.frame('pong')
    expect(client.frames.map(({ type }) => type)).not.toContain('event')
    world.directory.away = false
    expect(await client.frame('gap')).toMatchObject({ head: 3 })
  })

  test('during a break of the bus are found when it is mended, with who came and went', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const left = world.create([ann])
    const client = await welcomed(world, ann)
    world.faults.losePublishes = true
    await world.append(conversation, [{}])
    await world.remove(left, ann)
    const joined = world.create([ann], 2)
    world.faults.losePublishes = false
    world.interrupt()
    expect(await client.frame('gap', (f) => f.conversation === conversation)).toMatchObject({
      head: 2,
    })
    await client.frame('conversation', (f) => f.conversation === left && f.change === 'removed')
    await client.frame('conversation', (f) => f.conversation === joined && f.change === 'added')
    expect(await client.frame('gap', (f) => f.conversation === joined)).toMatchObject({ head: 3 })
  })

  test('heads of active conversations are announced', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann, { subprotocol: 'parley.v1.msgpack' })
    await world.append(conversation, [{}])
    expect((await client.frame('heads')).heads).toEqual({ [conversation]: 2 })
  })
})

describe('resume', () => {
  test('up to 50 missed events follow welcome, more are a gap', async () => {
    const world = await start()
    const few = world.create([ann], 50)
    const many = world.create([ann], 51)
    const none = world.create([ann], 3)
    const client = await welcomed(world, ann, { resume: { [few]: 1, [many]: 1, [none]: 4 } })
    await client.until(() => client.seqs(few).length === 50, 'not all missed events came')
    expect(client.seqs(few)).toEqual(Array.from({ length: 50 }, (_, i) => i + 2))
    expect(await client.frame('gap')).toMatchObject({ conversation: many, head: 52 })
    expect(client.seqs(many)).toEqual([])
    expect(client.frames[0]?.type).toBe('welcome')
    expect(client.frames.filter(({ type }) => type === 'gap')).toHaveLength(1)
  })

  test('[G3] what comes live while the page is read follows it', async () => {
    const world = await start()
    const conversation = world.create([ann], 3)
    let release = () => {}
    world.directory.pagesHeld = new Promise((resolve) => {
      release = resolve
    })
    const client = await welcomed(world, ann, { resume: { [conversation]: 1 } })
    await vi.waitFor(() => expect(world.directory.calls.pages).toBe(1))
    await world.append(conversation, [{}, {}])
    client.send({ type: 'ping' })
    await client.frame('pong')
    expect(client.seqs(conversation)).toEqual([])
    release()
    await client.until(() => client.seqs(conversation).at(-1) === 6, 'did not go on')
    expect(client.seqs(conversation)).toEqual([2, 3, 4, 5, 6])
  })
})

describe('sync', () => {
  test.each(protocols)('is answered with a page (%s)', async (subprotocol) => {
    const world = await start()
    const conversation = world.create([ann], 9)
    const client = await welcomed(world, ann, { subprotocol })
    client.send({ type: 'sync', ref: 'r', conversation, after: 2, limit: 3 })
    const synced = await client.frame('synced')
    expect(synced).toMatchObject({ ref: 'r', conversation, head: 10, from: 1, more: true })
    expect(synced.events).toEqual(world.conversation(conversation).events.slice(2, 5))
  })

  test('[G3] [Y4] waits for the head that this connection has been told of', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    await world.append(conversation, [{}, {}])
    await client.until(() => client.seqs(conversation).at(-1) === 3, 'no event')
    client.send({ type: 'sync', ref: 'r', conversation, after: 0 })
    await client.frame('synced')
    expect(world.directory.calls.knownHeads).toEqual([3])
  })

  test('outside is `not_found`, a page too large `invalid`, the directory away `unavailable`', async () => {
    const world = await start()
    const client = await welcomed(world, ann)
    const foreign = world.create([ben])
    client.send({ type: 'sync', ref: '1', conversation: foreign, after: 0 })
    client.send({ type: 'sync', ref: '2', conversation: foreign, after: 0, limit: 1_000_000_000 })
    expect(await client.frame('error', (e) => e.ref === '1')).toMatchObject({ code: 'not_found' })
    expect(await client.frame('error', (e) => e.ref === '2')).toMatchObject({ code: 'invalid' })
    world.directory.away = true
    client.send({ type: 'sync', ref: '3', conversation: foreign, after: 0 })
    expect(await client.frame('error', (e) => e.ref === '3')).toMatchObject({
      code: 'unavailable',
      retryable: true,
    })
  })
})

describe('[G11] a session', () => {
  test('that is revoked is closed 4002 at once; others of the user stay', async () => {
    const world = await start()
    const session = newId()
    const gone = await welcomed(world, ann, { session })
    const stays = await welcomed(world, ann)
    await world.notify(ann, { type: 'revoked', session })
    expect((await gone.closed()).code).toBe(4002)
    stays.send({ type: 'ping' })
    await stays.frame('pong')
    await world.notify(ann, { type: 'revoked' })
    expect((await stays.closed()).code).toBe(4002)
  })

  test('[C4] that ended without a notice is found by asking', async () => {
    const world = await start()
    const session = newId()
    const client = await welcomed(world, ann, { session })
    world.directory.endedSessions.add(session)
    expect((await client.closed()).code).toBe(4002)
    const again = await connect(world.url)
    again.send({ type: 'hello', token: await world.token(ann, { session }), device: 'd' })
    expect((await again.closed()).code).toBe(4002)
    expect(again.frames.map(({ type }) => type)).toEqual(['error'])
  })

  test('[X2] whose token expires is closed 4002, unless `auth` brought a fresh one', async () => {
    let ahead = 0
    const world = await start({ now: () => Date.now() + ahead })
    const [renews, expires] = await Promise.all([welcomed(world, ann), welcomed(world, ann)])
    ahead = 600_000
    const { session } = renews.welcome
    renews.send({ type: 'auth', token: await world.token(ann, { session }), ref: 'r' })
    await renews.frame('ok')
    ahead = 1_000_000
    expect((await expires.closed()).code).toBe(4002)
    expect(expires.frames.at(-1)).toMatchObject({ type: 'error', code: 'token_expired' })
    renews.send({ type: 'ping' })
    await renews.frame('pong')
  })

  test('does not take the token of another user', async () => {
    const world = await start()
    const client = await welcomed(world, ann)
    client.send({ type: 'auth', token: await world.token(ben), ref: 'r' })
    expect(await client.frame('error')).toMatchObject({ code: 'unauthenticated', ref: 'r' })
    expect((await client.closed()).code).toBe(4001)
  })
})

describe('drain', () => {
  test('tells when to come again, answers what is in flight, takes no more, closes 4013', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const clients = await Promise.all([1, 2, 3].map(() => welcomed(world, ann)))
    const [client] = clients
    const id = newId()
    client?.send({ type: 'send', id, conversation, body: { text: 'x' } })
    await vi.waitFor(() => expect(world.records).toHaveLength(1))
    const drained = world.gateway.drain()
    expect(world.gateway.problems()).not.toEqual([])
    for (const each of clients) {
      const { reconnectAfterMs } = await each.frame('drain')
      expect(reconnectAfterMs).toBeLessThanOrEqual(1_000)
      expect((await each.closed()).code).toBe(4013)
    }
    expect(await client?.frame('ack')).toMatchObject({ id })
    await drained
    await expect(connect(world.url)).rejects.toBeDefined()
  })
})

describe('bounds', () => {
  test('[G8] more connections than allowed are refused with 503', async () => {
    const world = await start({ config: { wsMaxConnections: 1 } })
    await connect(world.url)
    await expect(connect(world.url)).rejects.toBeDefined()
    const { text } = await world.metrics.exposition()
    expect(text).toContain('parley_gateway_upgrades_refused_total{status="503"} 1')
  })

  test('[G8] more connections of one user than allowed close 4029', async () => {
    const world = await start({ config: { wsMaxConnectionsPerUser: 1 } })
    await welcomed(world, ann)
    const second = await connect(world.url)
    second.send({ type: 'hello', token: await world.token(ann), device: 'd' })
    expect((await second.closed()).code).toBe(4029)
    await welcomed(world, ben)
  })

  test('a port in use is one clear sentence', async () => {
    const world = await start()
    await expect(createWorld({ config: { wsPort: world.port } })).rejects.toThrow(
      `127.0.0.1:${world.port}`,
    )
  })

  test('[G8] the window is what welcome says', async () => {
    const world = await start()
    const conversation = world.create([ann])
    const client = await welcomed(world, ann)
    world.faults.silent = true
    const send = () => ({ type: 'send' as const, id: newId(), conversation, body: { text: 'x' } })
    client.send(...Array.from({ length: limits.inFlight }, send))
    const last = send()
    client.send(last)
    expect(await client.frame('error')).toMatchObject({ code: 'too_many_inflight', id: last.id })
  })
})
