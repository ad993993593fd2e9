import { codecFor } from '@parley/proto/codec'
import { newId } from '@parley/proto/ids'
import type { SessionNotice } from '@parley/proto/session-records'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type Client, welcomed } from './testing/client.ts'
import { connectRaw, opcodes } from './testing/raw-socket.ts'
import { createWorld, errorsLogged, type World, type WorldOptions } from './testing/world.ts'

/** What presence is told of connections. */

let world: World
let ahead = 0
afterEach(async () => {
  await world.stop()
  ahead = 0
  expect(errorsLogged.splice(0)).toEqual([])
})
async function start(options: WorldOptions = {}): Promise<World> {
  world = await createWorld({ now: () => Date.now() + ahead, ...options })
  return world
}
const [ann, ben] = [newId(), newId()]
const json = codecFor('parley.v1.json')

const told = (count: number): Promise<SessionNotice[]> =>
  vi.waitFor(() => {
    expect(world.sessions.length).toBeGreaterThanOrEqual(count)
    return world.sessions
  })
async function pinged(client: Client): Promise<void> {
  const ref = newId()
  client.send({ type: 'ping', ref })
  await client.frame('pong', (pong) => pong.ref === ref)
}

/** A connection whose TCP link can be cut or left silent. */
async function raw(user: string) {
  const link = await connectRaw(world.port)
  const hello = { type: 'hello' as const, token: await world.token(user), device: 'd' }
  link.send(opcodes.text, json.encodeClientFrame(hello))
  return link
}

describe('a connection is told', () => {
  test('as open once it has its welcome, by a clean close as closed', async () => {
    await start()
    const client = await welcomed(world, ann)
    const [opened] = await told(1)
    expect(opened).toMatchObject({ user: ann, state: 'open' })
    client.close()
    const [, closed] = await told(2)
    expect(closed).toMatchObject({ connection: opened?.connection, state: 'closed' })
    expect(closed?.at).toBeGreaterThan(opened?.at as number)
  })

  test('each by itself, two of one session too', async () => {
    await start()
    const session = newId()
    await welcomed(world, ann, { session })
    await welcomed(world, ann, { session })
    const notices = await told(2)
    expect(new Set(notices.map(({ connection }) => connection)).size).toBe(2)
  })

  test('again within 15 s, with when it last sent anything but ping', async () => {
    await start()
    const client = await welcomed(world, ann)
    const [opened] = await told(1)
    ahead += 5_000
    client.send({ type: 'sync', ref: 'r', conversation: newId(), after: 0 })
    await client.frame('error')
    const activeAt = Date.now() + ahead
    ahead += 5_000
    await pinged(client)
    ahead += 4_500
    const [, renewed] = await told(2)
    expect(renewed).toMatchObject({ connection: opened?.connection, state: 'open' })
    expect(Math.abs((renewed?.activeAt as number) - activeAt)).toBeLessThan(1_000)
  })

  test('at once when it is active again after it was quiet', async () => {
    await start()
    const client = await welcomed(world, ann)
    await told(1)
    ahead += 290_000
    await vi.waitFor(() => expect(world.sessions.length).toBe(2))
    await pinged(client)
    client.send({ type: 'watch', users: [] })
    const notices = await told(3)
    const active = notices.at(-1) as SessionNotice
    expect(active.activeAt - (notices[0] as SessionNotice).activeAt).toBeGreaterThan(280_000)
  })

  test('as closed when the server closes it, and at a drain before the gateway has stopped', async () => {
    await start({ config: { wsDrainMs: 200 } })
    const session = newId()
    const revoked = await welcomed(world, ann, { session })
    await welcomed(world, ben)
    await told(2)
    await world.notify(ann, { type: 'revoked', session })
    await revoked.closed()
    await vi.waitFor(() => expect(world.sessions.at(-1)).toMatchObject({ state: 'closed' }))
    await world.gateway.stop()
    expect(world.sessions.at(-1)).toMatchObject({ user: ben, state: 'closed' })
  })

  test('not as closed when its link is lost: it may come again before its lease runs out', async () => {
    await start()
    const link = await raw(ann)
    await told(1)
    link.socket.resetAndDestroy()
    await vi.waitFor(async () => {
      const { text } = await world.metrics.exposition()
      expect(text).toContain('parley_gateway_closes_total{code="1006"} 1')
    })
    await welcomed(world, ben)
    const notices = await told(2)
    expect(notices.map(({ user, state }) => [user, state])).toEqual([
      [ann, 'open'],
      [ben, 'open'],
    ])
  })

  test('[P2] as closed when nothing came for the idle time, so that a dead network does not keep it online', {
    timeout: 20_000,
  }, async () => {
    await start({ config: { wsIdleSeconds: 8 } })
    // It answers no ping.
    const link = await raw(ann)
    await told(1)
    await vi.waitFor(() => expect(world.sessions.at(-1)?.state).toBe('closed'), {
      timeout: 18_000,
      interval: 100,
    })
    link.socket.destroy()
  })
})

test('[G10] [P6] while the log does not take what presence is told, chat goes on', async () => {
  await start()
  const conversation = world.create([ann])
  const client = await welcomed(world, ann)
  await told(1)
  world.faults.rejectSessions = true
  const others = await Promise.all(Array.from({ length: 5 }, () => welcomed(world, ben)))
  client.send({ type: 'send', id: newId(), conversation, body: { text: 'x' } })
  await client.frame('ack')
  world.faults.rejectSessions = false
  await told(1 + others.length)
})
