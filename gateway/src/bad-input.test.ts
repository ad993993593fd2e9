import { newId } from '@parley/proto/ids'
import { pack } from '@parley/proto/pack'
import { generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Client, connect, welcomed } from './testing/client.ts'
import { connectRaw, opcodes } from './testing/raw-socket.ts'
import { createWorld, errorsLogged, type World } from './testing/world.ts'

let world: World
let neighbour: Client
let conversation: string
const ann = newId()
const json = (value: unknown) => JSON.stringify(value)

beforeAll(async () => {
  world = await createWorld()
  conversation = world.create([ann])
  neighbour = await welcomed(world, ann)
})
afterAll(() => world.stop())
beforeEach(() => {
  // Whatever a test does to its own link, a neighbour goes on.
  return async () => {
    const ref = newId()
    neighbour.send({ type: 'ping', ref })
    await neighbour.frame('pong', (pong) => pong.ref === ref)
    expect(errorsLogged.splice(0)).toEqual([])
  }
})

async function refusal(client: Client, code: string, close?: number): Promise<void> {
  const error = await client.frame('error', (frame) => frame.code === code)
  expect(error.message).not.toBe('')
  if (close !== undefined) {
    expect((await client.closed()).code).toBe(close)
    return
  }
  const ref = newId()
  client.send({ type: 'ping', ref })
  await client.frame('pong', (pong) => pong.ref === ref)
}

describe('[X2] bytes that are no frame are `bad_frame` and close 4000', () => {
  const deep = (open: string, close: string) => open.repeat(1_000) + close.repeat(1_000)
  test.each<[string, string]>([
    ['no JSON', '{"type":'],
    ['a number', '1'],
    ['an object without type', '{}'],
    ['an empty batch', '[]'],
    ['a batch in a batch', '[[{"type":"ping"}]]'],
    ['65 frames', json(Array(65).fill({ type: 'ping' }))],
    ['1,000 levels', `{"type":"ping","x":${deep('[', ']')}}`],
  ])('JSON: %s', async (_, text) => {
    const client = await welcomed(world, ann)
    client.raw(text)
    await refusal(client, 'bad_frame', 4000)
  })

  test.each<[string, Uint8Array]>([
    ['cut off', Buffer.from([0x92, 10])],
    ['a reserved byte', Buffer.from([0xc1])],
    ['a map', pack({ type: 'ping' })],
    ['an extension type', Buffer.from([0x92, 10, 0xd4, 1, 0])],
    ['a timestamp', Buffer.from([0x92, 10, 0xd6, 0xff, 0, 0, 0, 0])],
    ['a length beyond its end', Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff])],
    ['65 frames', pack(Array(65).fill([10]))],
    ['1,000 levels', Buffer.concat([Buffer.alloc(1_000, 0x91), Buffer.from([10])])],
  ])('MessagePack: %s', async (_, bytes) => {
    const client = await welcomed(world, ann, { subprotocol: 'parley.v1.msgpack' })
    client.raw(bytes)
    await refusal(client, 'bad_frame', 4000)
  })

  test('text on MessagePack, binary on JSON', async () => {
    const binary = await welcomed(world, ann, { subprotocol: 'parley.v1.msgpack' })
    binary.raw(json({ type: 'ping' }))
    await refusal(binary, 'bad_frame', 4000)
    const text = await welcomed(world, ann)
    text.raw(Buffer.from(json({ type: 'ping' })))
    await refusal(text, 'bad_frame', 4000)
  })

  test('is counted', async () => {
    const { text } = await world.metrics.exposition()
    expect(text).toMatch(/parley_gateway_errors_total\{code="bad_frame"\} 1\d/)
    expect(text).toMatch(/parley_gateway_closes_total\{code="4000"\} 1\d/)
  })
})

describe('frames that are wrong in themselves are refused and the link stays', () => {
  const id = newId()
  const good = () => ({ type: 'send', id, conversation, body: { text: 'x' } })
  test.each<[string, string, object]>([
    ['a second hello', 'invalid', { type: 'hello', token: 't', device: 'd' }],
    ['a type of the future', 'unsupported', { type: 'teleport' }],
    ['`__proto__` as a type', 'unsupported', { type: '__proto__' }],
    ['a number for a string', 'invalid', { ...good(), body: { text: 5 } }],
    ['a string for a number', 'invalid', { type: 'sync', ref: 'r', conversation, after: '5' }],
    ['an id that is no UUID', 'invalid', { ...good(), id: 'x' }],
    ['an id in upper case', 'invalid', { ...good(), id: id.toUpperCase() }],
    ['an id of version 4', 'invalid', { ...good(), id: crypto.randomUUID() }],
    ['an id of tomorrow', 'invalid', { ...good(), id: newId(Date.now() + 86_400_000) }],
    ['a body with nothing in it', 'invalid', { ...good(), body: {} }],
    ['a missing field', 'invalid', { type: 'send', id, conversation }],
    ['a page of 10^9', 'invalid', { type: 'sync', ref: 'r', conversation, after: 0, limit: 1e9 }],
    ['a foreign conversation', 'not_found', { ...good(), conversation: newId(), id: newId() }],
  ])('%s', async (_, code, frame) => {
    const client = await welcomed(world, ann)
    client.raw(json(frame))
    await refusal(client, code)
  })

  test('`__proto__` keys change nothing', async () => {
    const client = await welcomed(world, ann)
    const text = `{"type":"send","id":"${newId()}","conversation":"${conversation}","body":{"text":"x","__proto__":{"polluted":1}},"__proto__":{"polluted":1}}`
    client.raw(text)
    client.send({ type: 'ping', ref: 'p' })
    await client.frame('pong')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe('[C4] before welcome', () => {
  test('[C4] [X2] a frame before hello is `unauthenticated` and closes 4001', async () => {
    const client = await connect(world.url)
    client.send({ type: 'ping' })
    await refusal(client, 'unauthenticated', 4001)
  })

  test.each<[string, (world: World) => Promise<string>, string, number]>([
    ['expired', (w) => w.token(ann, { expiresIn: -60 }), 'token_expired', 4002],
    ['of another audience', (w) => w.token(ann, { audience: 'else' }), 'unauthenticated', 4001],
    ['of another type', (w) => w.token(ann, { typ: 'JWT' }), 'unauthenticated', 4001],
    ['of no user', (w) => w.token('root'), 'unauthenticated', 4001],
    ['that is no token', async () => 'abc', 'unauthenticated', 4001],
    ['without a signature', noneToken, 'unauthenticated', 4001],
    ['under a key of somebody else', forged, 'unauthenticated', 4001],
    ['signed with the public key as a secret', confused, 'unauthenticated', 4001],
  ])('a token %s', async (_, make, code, close) => {
    const client = await connect(world.url)
    client.send({ type: 'hello', token: await make(world), device: 'd' })
    await refusal(client, code, close)
    expect(client.frames.map(({ type }) => type)).toEqual(['error'])
  })

  test('[G8] forged tokens under unknown keys make the keys be fetched at most once a second', async () => {
    const before = world.directory.calls.keys
    const began = performance.now()
    const tokens = await Promise.all(Array.from({ length: 50 }, () => forged(world, newId())))
    await Promise.all(
      tokens.map(async (token) => {
        const client = await connect(world.url)
        client.send({ type: 'hello', token, device: 'd' })
        await client.closed()
      }),
    )
    const seconds = Math.ceil((performance.now() - began) / 1_000)
    expect(world.directory.calls.keys - before).toBeLessThanOrEqual(seconds + 1)
  })
})

const claims = { sid: newId(), sub: ann, iss: 'parley', aud: 'parley' }
const soon = () => Math.floor(Date.now() / 1_000) + 60
const encoded = (value: object) => Buffer.from(json(value)).toString('base64url')

async function noneToken({ kid }: World): Promise<string> {
  return `${encoded({ alg: 'none', typ: 'at+jwt', kid })}.${encoded({ ...claims, exp: soon() })}.`
}
async function forged({ kid }: World, otherKid = kid): Promise<string> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
  return new SignJWT({ ...claims, exp: soon() })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: otherKid })
    .sign(privateKey)
}
async function confused({ kid, keys }: World): Promise<string> {
  const secret = new Uint8Array(await crypto.subtle.exportKey('raw', keys.publicKey as never))
  return new SignJWT({ ...claims, exp: soon() })
    .setProtectedHeader({ alg: 'HS256', typ: 'at+jwt', kid })
    .sign(secret)
}

describe('sizes', () => {
  const message = (bytes: number) => `{"type":"ping","x":"${'a'.repeat(bytes - 22)}"}`
  test('[C12] 64 KiB are read, one byte more is `too_large` and closes 4009, and so is 256 KiB', async () => {
    expect(message(100)).toHaveLength(100)
    const client = await welcomed(world, ann)
    client.raw(message(64 * 1024))
    await client.frame('pong')
    client.raw(message(64 * 1024 + 1))
    await refusal(client, 'too_large', 4009)
    const larger = await welcomed(world, ann)
    larger.raw(message(256 * 1024))
    await refusal(larger, 'too_large', 4009)
  })

  test('beyond 256 KiB the link drops', async () => {
    const client = await welcomed(world, ann)
    client.raw(message(256 * 1024 + 1))
    expect([1006, 1009]).toContain((await client.closed()).code)
  })
})

describe('what breaks RFC 6455 or HTTP', () => {
  test('bad UTF-8 in text drops the link', async () => {
    const raw = await connectRaw(world.port)
    raw.send(opcodes.text, Buffer.from([0x22, 0xc3, 0x28, 0x22]))
    expect([1006, 1007, 'dropped']).toContain(await raw.closed())
  })

  test.each<[string, Buffer]>([
    ['an unmasked frame', Buffer.from([0x81, 2, 0x7b, 0x7d])],
    ['a reserved opcode', Buffer.from([0x83, 0x80, 0, 0, 0, 0])],
    ['a reserved bit', Buffer.from([0xf1, 0x80, 0, 0, 0, 0])],
    ['a long control frame', Buffer.from([0x89, 0xfe, 0, 200, 0, 0, 0, 0])],
  ])('%s hurts nobody else', async (_, bytes) => {
    const raw = await connectRaw(world.port)
    raw.write(bytes)
    raw.socket.end()
    await raw.closed()
  })

  test('[C1] an unknown subprotocol is refused with 400, naming the known ones', async () => {
    const raw = await connectRaw(world.port, { 'sec-websocket-protocol': 'chat, graphql-ws' })
    expect(raw.response).toMatch(/^HTTP\/1.1 400/)
    const answered = await fetch(`http://127.0.0.1:${world.port}/elsewhere`)
    expect(answered.status).toBe(404)
  })

  test('[C1] without a subprotocol it is JSON; of several the first that is known is taken', async () => {
    const none = await connectRaw(world.port)
    expect(none.response).toMatch(/^HTTP\/1.1 101/)
    expect(none.response.toLowerCase()).not.toContain('sec-websocket-protocol')
    none.send(opcodes.text, Buffer.from('{"type":"ping"}'))
    expect(await none.closed()).toBe(4001)
    const several = await connectRaw(world.port, {
      'sec-websocket-protocol': 'other, parley.v1.msgpack, parley.v1.json',
    })
    expect(several.response.toLowerCase()).toContain('sec-websocket-protocol: parley.v1.msgpack\r')
  })

  test('an origin that is not allowed is closed 4003', async () => {
    const strict = await createWorld({ config: { wsAllowedOrigins: 'https://chat.example' } })
    try {
      const refused = await connectRaw(strict.port, { origin: 'https://evil.example' })
      expect(await refused.closed()).toBe(4003)
      const allowed = await connectRaw(strict.port, { origin: 'https://chat.example' })
      allowed.send(opcodes.text, Buffer.from('{"type":"ping"}'))
      expect(await allowed.closed()).toBe(4001)
    } finally {
      await strict.stop()
    }
  })
})
