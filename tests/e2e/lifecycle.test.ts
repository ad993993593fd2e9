import { networkInterfaces } from 'node:os'
import { afterEach, describe, expect, test } from 'vitest'
import { eventually, within } from './harness/deadline.ts'
import { subprotocols } from './harness/frames.ts'
import { canonical, liveEvents, restEventsTo, syncedEvents } from './harness/history.ts'
import { uuid7 } from './harness/ids.ts'
import { type Person, worldOf } from './harness/people.ts'
import { isAlive, processTree, residentBytes, signal } from './harness/process-tree.ts'
import { openRawWire } from './harness/raw-wire.ts'
import { openSocket } from './harness/socket-client.ts'
import { type StandaloneServer, startStandalone } from './harness/standalone-server.ts'

let server: StandaloneServer
const unlimited = { PARLEY_USER_MESSAGES_PER_SECOND: '0' }

afterEach(() => server?.dispose())

/** The PostgreSQL server's own process and all it has forked. */
function postgresOf(running: StandaloneServer): number[] {
  const tree = processTree(running.pid)
  const postmaster = tree.find(
    (entry) => entry.pid !== running.pid && /postgres\b.* -D|postgres -D/.test(entry.command),
  )
  if (postmaster === undefined) {
    throw new Error(`no PostgreSQL among ${tree.map((e) => e.command).join('; ')}`)
  }
  return processTree(postmaster.pid).map((entry) => entry.pid)
}

test('ready time and memory, printed', async () => {
  server = await startStandalone()
  const fresh = server.readyAfterMs
  const idle = residentBytes(server.pid)
  expect(await server.stop()).toBe(0)
  await server.restart()
  console.log(
    `ready after ${fresh.toFixed(0)} ms on a new folder, ${server.readyAfterMs.toFixed(0)} ms on an old one; ` +
      `idle tree ${(idle / 1e6).toFixed(0)} MB`,
  )
  expect(server.readyAfterMs).toBeGreaterThan(0)
})

describe('SIGTERM', () => {
  test('[W4] [C11] drains: told, answered, closed with 4013, exit 0; nothing acked is lost', async () => {
    server = await startStandalone({ env: unlimited })
    const world = worldOf(server)
    const people = (await world.registerMany(4)) as [Person, ...Person[]]
    const conversation = await world.group(people[0], people.slice(1))
    const sockets = await Promise.all(
      [...people, ...people].map((p, i) => world.connect(p, subprotocols[i % 2])),
    )
    await Promise.all(sockets.map((socket) => socket.say(conversation, 'before')))
    const ids = sockets.map(() => Array.from({ length: 16 }, () => uuid7()))
    const answers = sockets.map((socket, i) =>
      Promise.all(
        (ids[i] as string[]).map((id) => socket.send(conversation, { text: id }, { id })),
      ),
    )
    // A pong proves that the server has read what was sent before it.
    await Promise.all(sockets.map((socket) => socket.ping()))
    const stopped = server.stop()
    for (const socket of sockets) {
      const drain = await socket.wait('drain')
      expect(drain.reconnectAfterMs).toBeGreaterThanOrEqual(0)
    }
    const acks = (await Promise.all(answers)).flat()
    for (const answer of acks) {
      if (answer.type === 'error') expect(answer).toMatchObject({ retryable: true })
    }
    for (const socket of sockets) {
      expect((await within('the socket closes', 30_000, socket.closed)).code).toBe(4013)
    }
    expect(await stopped).toBe(0)

    await server.restart()
    const head = Math.max(...acks.map((a) => (a.type === 'ack' ? a.seq : 0)))
    const events = await restEventsTo(world, people[0], conversation, head)
    expect(events.map((e) => e.seq)).toEqual(events.map((_, i) => i + 1))
    for (const ack of acks) {
      if (ack.type === 'ack') expect(events[ack.seq - 1]?.id).toBe(ack.id)
    }
  })

  test('while it drains it is not ready and takes no new sockets', async () => {
    server = await startStandalone()
    const world = worldOf(server)
    const people = (await world.registerMany(2)) as [Person, Person]
    const sockets = await Promise.all(people.map((person) => world.connect(person)))
    const { httpUrl } = server
    const stopped = server.stop()
    for (const socket of sockets) await socket.wait('drain')
    const readiness = await fetch(`${httpUrl}/readyz`).then(
      (answer) => answer.status,
      () => 'refused',
    )
    expect([503, 'refused']).toContain(readiness)
    await expect(world.connect(people[0])).rejects.toThrow(/closed|open/)
    for (const socket of sockets) await within('it closes', 30_000, socket.closed)
    expect(await stopped).toBe(0)
  })

  test('[W4] with nothing connected it ends at once, and so on SIGINT', async () => {
    server = await startStandalone()
    const began = performance.now()
    expect(await server.stop(10_000)).toBe(0)
    console.log(`an idle server ended after ${(performance.now() - began).toFixed(0)} ms`)
    await server.restart()
    const { pid } = server
    const tree = processTree(pid).map((entry) => entry.pid)
    signal([pid], 'SIGINT')
    await eventually('everything is gone', () => !tree.some(isAlive), { deadlineMs: 20_000 })
  })
})

describe('connections', () => {
  test('[C10] one from which nothing comes, not even a pong, is closed; one that is merely quiet stays', async () => {
    server = await startStandalone({ env: { PARLEY_WS_IDLE_SECONDS: '8' } })
    const world = worldOf(server)
    const person = await world.register()
    const quiet = await world.connect(person)
    expect(quiet.welcome.limits.idleSeconds).toBe(8)
    const dead = await openRawWire(server.wsUrls[0] as string, 'parley.v1.json')
    const hello = { type: 'hello', token: person.accessToken, device: 'dead' }
    dead.sendFrame(1, Buffer.from(JSON.stringify(hello)))
    const received = await within('the dead link is closed', 30_000, dead.ended)
    expect(received.toString('latin1')).toContain('"welcome"')
    expect(quiet.isOpen).toBe(true)
    await quiet.ping()
  })

  test('[C14] one more than a user may have is refused with 4029', async () => {
    server = await startStandalone({ env: { PARLEY_WS_MAX_CONNECTIONS_PER_USER: '2' } })
    const world = worldOf(server)
    const person = await world.register()
    const held = [await world.connect(person), await world.connect(person)]
    const third = await openSocket(server.wsUrls[0] as string)
    await expect(third.hello(person.accessToken)).rejects.toThrow(/"retryable":true/)
    expect((await within('it closes', 5_000, third.closed)).code).toBe(4029)
    await held[0]?.close()
    await eventually('a place is free again', () => world.connect(person))
    await held[1]?.ping()
  })
})

describe('health', () => {
  test('[W2] /healthz, /readyz and /metrics answer on loopback, to nobody else', async () => {
    server = await startStandalone({ env: { PARLEY_HOST: '0.0.0.0' } })
    const { port } = new URL(server.httpUrl)
    const local = `http://127.0.0.1:${port}`
    for (const path of ['/healthz', '/readyz']) {
      expect((await fetch(local + path)).status, path).toBe(200)
    }
    const metrics = await (await fetch(`${local}/metrics`)).text()
    expect(metrics).toMatch(/^# TYPE \w+ counter$/m)
    expect(metrics).toMatch(/^process_resident_memory_bytes \d/m)

    const outside = Object.values(networkInterfaces())
      .flat()
      .find((address) => address?.family === 'IPv4' && !address.internal)
    if (outside === undefined) {
      console.warn('SKIPPED in part: this machine has no address besides loopback')
      return
    }
    const foreign = `http://${outside.address}:${port}`
    expect((await fetch(`${foreign}/.well-known/jwks.json`)).status).toBe(200)
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      expect([403, 404], path).toContain((await fetch(foreign + path)).status)
    }
  })
})

describe('PostgreSQL away', () => {
  async function chat() {
    server = await startStandalone({ env: unlimited })
    const world = worldOf(server)
    const [ann, ben] = (await world.registerMany(2)) as [Person, Person]
    const conversation = await world.group(ann, [ben])
    const speaker = await world.connect(ann)
    const reader = await world.connect(ben, 'parley.v1.msgpack')
    await speaker.say(conversation, 'loaded')
    return { world, ann, ben, conversation, speaker, reader }
  }
  type Chat = Awaited<ReturnType<typeof chat>>

  /** 200 messages with PostgreSQL as it is; each is acked and shown. */
  async function talk({ speaker, reader, conversation }: Chat, what: string) {
    for (let i = 0; i < 200; i++) await speaker.say(conversation, `${what} ${i}`)
    const last = Math.max(...speaker.journal.map((f) => (f.type === 'ack' ? f.seq : 0)))
    await reader.wait('event', (e) => e.conversation === conversation && e.seq === last)
    return last
  }

  async function expectWhole(
    { world, ann, ben, conversation, reader, speaker }: Chat,
    head: number,
  ) {
    const events = await eventually(
      'REST has recovered',
      () => restEventsTo(world, ben, conversation, head),
      { deadlineMs: 60_000 },
    )
    expect(events.map((e) => e.seq)).toEqual(Array.from({ length: head }, (_, i) => i + 1))
    expect(liveEvents(reader, conversation).map(canonical)).toEqual(events.slice(1).map(canonical))
    expect(await syncedEvents(speaker, conversation)).toHaveLength(head)
    await eventually('accounts work', () => world.register())
    const { seq } = await speaker.say(conversation, 'afterwards')
    expect(seq).toBe(head + 1)
    await restEventsTo(world, ann, conversation, seq)
    expect(speaker.journal.filter((f) => f.type === 'error')).toEqual([])
  }

  test('killed with -9: sends go on, it comes back, nothing is lost', async () => {
    const all = await chat()
    signal(postgresOf(server), 'SIGKILL')
    const head = await talk(all, 'without a database')
    await expectWhole(all, head)
    expect(postgresOf(server).length).toBeGreaterThan(0)
  })

  test('[H11] not answering: sends to loaded conversations go on, REST reads are 503, then recover', async () => {
    const all = await chat()
    const { world, ben, conversation } = all
    const postgres = postgresOf(server)
    signal(postgres, 'SIGSTOP')
    let head = 0
    try {
      head = await talk(all, 'while it hangs')
      const path = `/v1/conversations/${conversation}/events?after=0`
      const answer = await world.http.problem('GET', path, { token: ben.accessToken })
      expect(answer).toMatchObject({ status: 503, code: 'unavailable' })
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    } finally {
      signal(postgres, 'SIGCONT')
    }
    await expectWhole(all, head)
  })

  test('killed again and again while 1,000 messages are sent', async () => {
    const all = await chat()
    let head = 0
    for (let round = 0; round < 5; round++) {
      signal(postgresOf(server), 'SIGKILL')
      head = await talk(all, `round ${round}`)
      await eventually('PostgreSQL runs again', () => postgresOf(server).length > 0, {
        deadlineMs: 30_000,
      })
    }
    await expectWhole(all, head)
  })
})
