import type { ClientFrame } from '@parley/proto/frames'
import { newId, parseId } from '@parley/proto/ids'
import { pack } from '@parley/proto/pack'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Client, welcomed } from './testing/client.ts'
import { createWorld, errorsLogged, type World } from './testing/world.ts'

/** Wrong and hostile `edit`, `delete`, `react`, `read`, `typing` and `watch`: each one code, and the link stays. */

let world: World
let neighbour: Client
const ann = newId()
const conversation = newId()
const target = newId()
beforeAll(async () => {
  world = await createWorld({ config: { userMessagesPerSecond: 0 } })
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

async function refusal(client: Client, code: string): Promise<void> {
  const error = await client.frame('error')
  expect(error.code).toBe(code)
  expect(error.message).not.toBe('')
  const ref = newId()
  client.send({ type: 'ping', ref })
  await client.frame('pong', (pong) => pong.ref === ref)
}
const users = (count: number) => Array.from({ length: count }, () => newId())

const edit = () => ({ type: 'edit', id: newId(), conversation, target, body: { text: 'x' } })
const erase = () => ({ type: 'delete', id: newId(), conversation, target })
const react = () => ({ type: 'react', id: newId(), conversation, target, emoji: '!' })
const read = () => ({ type: 'read', conversation, seq: 1 })
const typing = () => ({ type: 'typing', conversation, active: true })

describe('JSON', () => {
  test.each<[string, string, object]>([
    ['an edit of nothing', 'invalid', { ...edit(), target: undefined }],
    ['an edit with a target that is no id', 'invalid', { ...edit(), target: 'x' }],
    ['an edit with an empty body', 'invalid', { ...edit(), body: {} }],
    ['an edit with an empty text', 'invalid', { ...edit(), body: { text: '' } }],
    ['an edit with a text as a body', 'invalid', { ...edit(), body: 'x' }],
    ['an edit with an id of version 4', 'invalid', { ...edit(), id: crypto.randomUUID() }],
    [
      'an edit with an id of tomorrow',
      'invalid',
      { ...edit(), id: newId(Date.now() + 86_400_000) },
    ],
    ['an edit with a text too long', 'invalid', { ...edit(), body: { text: 'x'.repeat(8_001) } }],
    [
      'an edit with a body too large',
      'too_large',
      { ...edit(), body: { text: '一'.repeat(8_000) } },
    ],
    ['a delete without an id', 'invalid', { ...erase(), id: undefined }],
    ['a delete with a number for a target', 'invalid', { ...erase(), target: 7 }],
    ['an emoji that is empty', 'invalid', { ...react(), emoji: '' }],
    ['an emoji that is too long', 'invalid', { ...react(), emoji: 'x'.repeat(33) }],
    ['an emoji that is a number', 'invalid', { ...react(), emoji: 1 }],
    ['an emoji that is half a character', 'invalid', { ...react(), emoji: '\ud83d' }],
    ['a remove that is a string', 'invalid', { ...react(), remove: 'true' }],
    ['a read of −1', 'invalid', { ...read(), seq: -1 }],
    ['a read of 0', 'invalid', { ...read(), seq: 0 }],
    ['a read of a half', 'invalid', { ...read(), seq: 1.5 }],
    ['a read of a string', 'invalid', { ...read(), seq: '1' }],
    ['a read beyond 2^53', 'invalid', { ...read(), seq: 2 ** 53 }],
    ['a read of nothing', 'invalid', { ...read(), seq: undefined }],
    [
      'a read of an upper-case id',
      'invalid',
      { ...read(), conversation: conversation.toUpperCase() },
    ],
    ['a read with a long ref', 'invalid', { ...read(), ref: 'x'.repeat(65) }],
    ['a read in a foreign conversation', 'not_found', read()],
    ['typing that is neither on nor off', 'invalid', { ...typing(), active: undefined }],
    ['typing that is 1', 'invalid', { ...typing(), active: 1 }],
    ['typing that is a string', 'invalid', { ...typing(), active: 'true' }],
    ['typing in a foreign conversation', 'not_found', typing()],
    ['501 watched users', 'invalid', { type: 'watch', users: users(501) }],
    ['watched users that are a string', 'invalid', { type: 'watch', users: ann }],
    ['watched users that are a map', 'invalid', { type: 'watch', users: { [ann]: 1 } }],
    ['a watched user that is none', 'invalid', { type: 'watch', users: [ann, 'ben'] }],
    ['a watched user that is null', 'invalid', { type: 'watch', users: [null] }],
    ['watching nobody said', 'invalid', { type: 'watch' }],
    ['an edit in a foreign conversation', 'not_found', edit()],
    ['a delete in a foreign conversation', 'not_found', erase()],
    ['a reaction in a foreign conversation', 'not_found', react()],
  ])('%s', async (_, code, frame) => {
    const client = await welcomed(world, ann)
    client.raw(JSON.stringify(frame))
    await refusal(client, code)
  })

  test('`__proto__` and `constructor` in frames are unknown fields like others', async () => {
    const client = await welcomed(world, ann)
    const keys = '"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}'
    client.raw(`{"type":"watch","users":["${ann}"],"ref":"w",${keys}}`)
    client.raw(
      `{"type":"react","id":"${newId()}","conversation":"${world.create([ann], 1)}",${keys}}`,
    )
    await refusal(client, 'invalid')
    await client.frame('presence')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe('MessagePack', () => {
  const id = () => parseId(newId())
  const there = parseId(conversation)
  test.each<[string, string, unknown[]]>([
    ['an edit with a string for its target', 'invalid', [3, id(), there, target, { text: 'x' }]],
    ['a delete with a short id', 'invalid', [4, id(), there, Buffer.alloc(15)]],
    ['a reaction without an emoji', 'invalid', [5, id(), there, id()]],
    ['a reaction whose emoji is bytes', 'invalid', [5, id(), there, id(), Buffer.from('!')]],
    ['a read of −1', 'invalid', [6, there, -1]],
    ['a read of a float', 'invalid', [6, there, 1.5]],
    ['a read of a huge integer', 'invalid', [6, there, 2n ** 60n]],
    ['a read of a string id', 'invalid', [6, conversation, 1]],
    ['typing of 1', 'invalid', [7, there, 1]],
    ['watching strings', 'invalid', [9, [ann]]],
    ['watching bytes that are no list', 'invalid', [9, parseId(ann)]],
    ['watching 501', 'invalid', [9, users(501).map(parseId)]],
    ['a read in a foreign conversation', 'not_found', [6, there, 1]],
    ['typing in a foreign conversation', 'not_found', [7, there, true]],
  ])('%s', async (_, code, frame) => {
    const client = await welcomed(world, ann, { subprotocol: 'parley.v1.msgpack' })
    client.raw(pack(frame))
    await refusal(client, code)
  })
})

describe('[G8] floods from one connection', () => {
  const frames: [string, () => ClientFrame][] = [
    ['reads of foreign conversations', () => ({ type: 'read', conversation: newId(), seq: 1 })],
    ['reads with a ref', () => ({ type: 'read', conversation: ours, seq: 2, ref: newId() })],
    ['reads beyond the head', () => ({ type: 'read', conversation: ours, seq: 999_999 })],
    ['typing', () => ({ type: 'typing', conversation: ours, active: Math.random() < 0.5 })],
    ['typing elsewhere', () => ({ type: 'typing', conversation: newId(), active: true })],
    ['watches of 500 strangers', () => ({ type: 'watch', users: strangers })],
  ]
  let ours: string
  const strangers = users(500)
  beforeAll(() => {
    ours = world.create([ann], 9)
  })

  test.each(frames)('%s: everyone goes on, and so does the connection', async (_, make) => {
    const client = await welcomed(world, ann)
    const chatting = await welcomed(world, ann)
    for (let i = 0; i < 40; i++) {
      client.send(...Array.from({ length: make().type === 'watch' ? 1 : 25 }, make))
    }
    const id = newId()
    chatting.send({ type: 'send', id, conversation: ours, body: { text: 'x' } })
    await chatting.frame('ack', (ack) => ack.id === id)
    client.send({ type: 'ping', ref: 'still there' })
    await client.frame('pong', ({ ref }) => ref === 'still there')
    expect(client.isClosed()).toBe(false)
    for (const frame of client.frames) {
      if (frame.type !== 'error') continue
      expect(['not_found', 'rate_limited', 'too_many_inflight']).toContain(frame.code)
    }
  })
})
