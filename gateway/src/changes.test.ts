import type { ClientFrame } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Client, welcomed } from './testing/client.ts'
import { createWorld, errorsLogged, type World } from './testing/world.ts'

/** `edit`, `delete` and `react`: commands as `send` is one. */

let world: World
const [ann, ben] = [newId(), newId()]
const protocols = ['parley.v1.json', 'parley.v1.msgpack'] as const
beforeAll(async () => {
  world = await createWorld({ config: { userMessagesPerSecond: 0 } })
})
afterAll(async () => {
  await world.stop()
  expect(errorsLogged.splice(0)).toEqual([])
})

async function refused(client: Client, frame: ClientFrame & { id: string }): Promise<string> {
  client.send(frame)
  return (await client.frame('error', ({ id }) => id === frame.id)).code
}

describe.each(protocols)('over %s', (subprotocol) => {
  test('each gets its ack, and every member the event', async () => {
    const conversation = world.create([ann, ben])
    const author = await welcomed(world, ann, { subprotocol })
    const readers = await Promise.all(
      protocols.map((protocol) => welcomed(world, ben, { subprotocol: protocol })),
    )
    const target = newId()
    const frames = [
      { type: 'send', id: target, conversation, body: { text: 'x' } },
      { type: 'edit', id: newId(), conversation, target, body: { text: 'y' } },
      { type: 'react', id: newId(), conversation, target, emoji: '👍🏽' },
      { type: 'react', id: newId(), conversation, target, emoji: '👍🏽', remove: true },
      { type: 'delete', id: newId(), conversation, target },
    ] as const
    for (const frame of frames) {
      author.send(frame)
      await author.frame('ack', ({ id }) => id === frame.id)
    }
    const expected = [
      { kind: 'message', body: { text: 'x' } },
      { kind: 'edit', target, body: { text: 'y' } },
      { kind: 'reaction', target, body: { emoji: '👍🏽' } },
      { kind: 'reaction', target, body: { emoji: '👍🏽', remove: true } },
      { kind: 'delete', target },
    ].map((event, i) => ({ seq: i + 2, id: frames[i]?.id, sender: ann, ...event }))
    for (const client of [author, ...readers]) {
      await client.until(() => client.seqs(conversation).length === 5, 'not all events came')
      expect(client.events(conversation)).toMatchObject(expected)
      expect(client.events(conversation)[4]).not.toHaveProperty('body')
    }
  })

  test('[G2] the same id again gets the same seq', async () => {
    const conversation = world.create([ann])
    const client = await welcomed(world, ann, { subprotocol })
    const target = newId()
    client.send({ type: 'send', id: target, conversation, body: { text: 'x' } })
    const edit = { type: 'edit' as const, id: newId(), conversation, target, body: { text: 'y' } }
    client.send(edit)
    const { seq } = await client.frame('ack', ({ id }) => id === edit.id)
    client.send({ ...edit, retry: true })
    const again = await client.frame('ack', ({ duplicate }) => duplicate === true)
    expect(again).toMatchObject({ id: edit.id, seq })
  })

  test('what their owner refuses is told with their id', async () => {
    const conversation = world.create([ann, ben], 1)
    const foreign = world.create([newId()], 1)
    const message = world.conversation(conversation).events[1]?.id as string
    const created = world.conversation(conversation).events[0]?.id as string
    const client = await welcomed(world, ben, { subprotocol })
    const body = { text: 'mine now' }
    const edit = (target: string, to = conversation) =>
      refused(client, { type: 'edit', id: newId(), conversation: to, target, body })
    const erase = (target: string, to = conversation) =>
      refused(client, { type: 'delete', id: newId(), conversation: to, target })
    expect(await edit(message), 'another’s message').toBe('forbidden')
    expect(await erase(message)).toBe('forbidden')
    expect(await edit(newId()), 'no message').toBe('not_found')
    expect(await erase(created), 'an event that is no message').toBe('not_found')
    expect(await erase(message, foreign), 'a conversation of others').toBe('not_found')
    const react = { type: 'react' as const, id: newId(), conversation: foreign, target: message }
    expect(await refused(client, { ...react, emoji: '!' })).toBe('not_found')
  })
})

test('[G5] an edit is held back behind a send that was refused for load', async () => {
  const conversation = world.create([ann])
  const client = await welcomed(world, ann)
  const [first, second] = [newId(), newId()]
  const send = { type: 'send' as const, id: first, conversation, body: { text: 'x' } }
  const edit = {
    type: 'edit' as const,
    id: second,
    conversation,
    target: first,
    body: { text: 'y' },
  }
  world.faults.rejectAppends = true
  expect(await refused(client, send)).toBe('unavailable')
  world.faults.rejectAppends = false
  expect(await refused(client, edit)).toBe('unavailable')
  client.send(send, edit)
  await client.frame('ack', ({ id }) => id === second)
})

test('[G8] all commands share one window', async () => {
  const conversation = world.create([ann])
  const client = await welcomed(world, ann)
  world.faults.silent = true
  const target = newId()
  const frames = Array.from(
    { length: limits.inFlight + 1 },
    (_, i): ClientFrame & { id: string } => {
      const about = { id: newId(), conversation, target }
      if (i % 3 === 0) return { type: 'delete', ...about }
      if (i % 3 === 1) return { type: 'react', ...about, emoji: '!' }
      return { type: 'edit', ...about, body: { text: 'x' } }
    },
  )
  client.send(...frames)
  const error = await client.frame('error')
  world.faults.silent = false
  expect(error).toMatchObject({ code: 'too_many_inflight', id: frames.at(-1)?.id })
})
