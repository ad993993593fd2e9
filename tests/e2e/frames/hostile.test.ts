import { describe, expect, test } from 'vitest'
import { expectClose, setUpNeighbourhood } from '../bad-input/neighbourhood.ts'
import { eventually } from '../harness/deadline.ts'
import { subprotocols } from '../harness/frames.ts'
import { uuid4, uuid7, uuidBytes } from '../harness/ids.ts'
import type { Connected } from '../harness/people.ts'
import type { SocketClient } from '../harness/socket-client.ts'
import { encodeLoosely } from './bare-socket.ts'
import { clientRows, type Fields, toArray } from './table.ts'
import { wrong } from './wrong-values.ts'

/** Bad input in edit, delete, react, read, typing and watch: the documented error, and neighbours who never notice. */

const place = setUpNeighbourhood()

/** In the form of the connection's subprotocol, whatever the values are. */
function post(socket: SocketClient, frame: Fields): void {
  if (socket.protocol === 'parley.v1.json') socket.postRaw(JSON.stringify(frame))
  else socket.postRaw(encodeLoosely(toArray(clientRows, frame)))
}

/** A good frame of each type, in mallory's own place. */
const good = (): Record<string, Fields> => {
  const command = { id: uuid7(), conversation: place().ownPlace, target: uuid7() }
  return {
    edit: { type: 'edit', ...command, body: { text: 'x' } },
    delete: { type: 'delete', ...command },
    react: { type: 'react', ...command, emoji: '+1' },
    read: { type: 'read', conversation: place().ownPlace, seq: 1, ref: 'r' },
    typing: { type: 'typing', conversation: place().ownPlace, active: true, ref: 'r' },
    watch: { type: 'watch', users: [place().mallory.id], ref: 'r' },
  }
}

type CommandFrame = Fields & { id: string; type: string }

/** One of the good commands with some fields changed. */
function command(type: 'edit' | 'delete' | 'react', fields: Fields): CommandFrame {
  return { ...good()[type], ...fields } as CommandFrame
}

/** What answers a command, whichever it is. */
async function answerTo(socket: SocketClient, frame: CommandFrame) {
  post(socket, frame)
  const own = ({ id }: { id?: string }) => id === frame.id
  return Promise.race([socket.wait('ack', own), socket.wait('error', own)])
}

const cases = clientRows
  .filter(({ type }) => ['edit', 'delete', 'react', 'read', 'typing', 'watch'].includes(type))
  .flatMap(({ type, fields }) =>
    fields.flatMap(({ name }) =>
      (wrong[name] ?? []).map(([what, value]) => ({ type, name, what, value })),
    ),
  )

describe.each(subprotocols)('%s', (protocol) => {
  test.each(cases)('[F7] $type: $name $what is invalid, the link stays', async (flaw) => {
    const socket = await place().connect(protocol)
    const frame = { ...good()[flaw.type], [flaw.name]: flaw.value }
    post(socket, frame)
    const error = await socket.wait('error')
    expect(error).toMatchObject({ code: 'invalid', retryable: false })
    // What is well-formed itself is given back.
    const { id, ref } = frame as { id?: string; ref?: string }
    if (flaw.name !== 'id') expect(error.id).toBe(id)
    if (flaw.name !== 'ref') expect(error.ref).toBe(ref)
    await socket.ping()
    expect(socket.journal.filter((f) => f.type === 'ack' || f.type === 'ok')).toEqual([])
    await socket.close()
  })

  test('[B4] an edit of more than 16 KiB is too_large', async () => {
    const socket = await place().connect(protocol)
    const body = { text: '€'.repeat(5_500) }
    const error = await answerTo(socket, command('edit', { body }))
    expect(error).toMatchObject({ code: 'too_large', retryable: false })
    await socket.ping()
    await socket.close()
  })

  test('[S9][G6] in a foreign conversation, and in none, everything is not_found', async () => {
    const socket = await place().connect(protocol)
    for (const conversation of [place().foreignPlace, uuid7(), uuid4()]) {
      for (const type of ['edit', 'delete', 'react', 'read', 'typing']) {
        const from = socket.journal.length
        post(socket, { ...good()[type], conversation })
        const error = await socket.wait('error', () => true, { from })
        expect(error, type).toMatchObject({ code: 'not_found', retryable: false })
        // Without a `ref` too: any frame may be answered by an error.
        if (type !== 'read' && type !== 'typing') continue
        const { ref: _ref, ...silent } = { ...good()[type], conversation } as Fields
        const next = socket.journal.length
        post(socket, silent)
        expect(await socket.wait('error', () => true, { from: next })).toMatchObject({
          code: 'not_found',
        })
      }
    }
    await socket.ping()
    await socket.close()
  })

  test('[S10] a target that is none: unknown, elsewhere, no message, deleted', async () => {
    const socket = await place().connect(protocol)
    const conversation = place().ownPlace
    const { id: message } = await socket.say(conversation, 'target')
    const elsewhere = await place().world.group(place().mallory, [])
    const { id: foreign } = await socket.say(elsewhere, 'elsewhere')
    const edit = command('edit', { target: message })
    expect(await answerTo(socket, edit)).toMatchObject({ type: 'ack' })
    const { id: deleted } = await socket.say(conversation, 'to be deleted')
    const erase = command('delete', { target: deleted })
    expect(await answerTo(socket, erase)).toMatchObject({ type: 'ack' })
    for (const target of [uuid7(), uuid4(), conversation, foreign, edit.id, erase.id, deleted]) {
      for (const type of ['edit', 'delete', 'react'] as const) {
        const error = await answerTo(socket, command(type, { target }))
        expect(error, `${type} of ${target}`).toMatchObject({ code: 'not_found' })
      }
    }
    await socket.close()
  })

  test('[S9] a member edits and deletes nothing of others, and posts in no channel', async () => {
    const { mallory, world } = place()
    const owner = await world.register()
    const channel = await world.group(owner, [mallory], { kind: 'channel' })
    const group = await world.group(owner, [mallory])
    const speaker = await world.connect(owner, protocol)
    const socket = await place().connect(protocol)
    for (const conversation of [channel, group]) {
      const { id: target } = await speaker.say(conversation, 'mine')
      for (const type of ['edit', 'delete'] as const) {
        const error = await answerTo(socket, command(type, { conversation, target }))
        expect(error, type).toMatchObject({ code: 'forbidden', retryable: false })
      }
      const react = command('react', { conversation, target })
      expect(await answerTo(socket, react)).toMatchObject({ type: 'ack' })
    }
    expect(await socket.send(channel, { text: 'hear, hear' })).toMatchObject({ code: 'forbidden' })
    await Promise.all([speaker.close(), socket.close()])
  })

  test.each(['__proto__', 'constructor', 'toString', 'a\u0000b', '\ufeff', '😀'.repeat(32)])(
    '[N7][F12][S11] the emoji %j is one like others, in every read',
    async (emoji) => {
      const socket = await place().connect(protocol)
      const conversation = place().ownPlace
      const { id: target } = await socket.say(conversation, 'react to me')
      const react = command('react', { target, emoji })
      expect(await answerTo(socket, react)).toMatchObject({ type: 'ack' })
      const event = await socket.wait('event', (e) => e.id === react.id)
      expect(event.body).toEqual({ emoji })
      const reactions = [{ emoji, count: 1, mine: true }]
      await expectReactions(conversation, target, reactions)
      const page = await socket.sync(conversation, event.seq - 1)
      expect(page.events[0]).toEqual(event)
      const away = command('react', { target, emoji, remove: true })
      expect(await answerTo(socket, away)).toMatchObject({ type: 'ack' })
      await expectReactions(conversation, target, [])
      await socket.close()
    },
  )

  test('[F12] unknown fields and keys change nothing', async () => {
    const socket = await place().connect(protocol)
    const { id: target } = await socket.say(place().ownPlace, 'x')
    const extra = { constructor: { prototype: { polluted: true } }, later: [1, 'x'] }
    const edit = command('edit', { target, body: { text: 'y', ...extra }, ...extra })
    expect(await answerTo(socket, edit)).toMatchObject({ type: 'ack' })
    const event = await socket.wait('event', (e) => e.id === edit.id)
    expect(event.body).toEqual({ text: 'y' })
    post(socket, { type: 'watch', users: [place().mallory.id], ref: 'w', ...extra })
    await socket.wait('ok', (f) => f.ref === 'w')
    await socket.close()
  })

  test('[S7] edits and reactions count among the 32 that may await their ack', async () => {
    const socket = await place().connect(protocol)
    const { id: target } = await socket.say(place().ownPlace, 'x')
    const frames = Array.from({ length: 64 }, (_, i) =>
      command(i % 2 === 0 ? 'edit' : 'react', { target }),
    )
    const answers = await Promise.all(frames.map((frame) => answerTo(socket, frame)))
    const refused = answers.findIndex((answer) => answer.type === 'error')
    expect(refused === -1 || refused >= 32, `refused from ${refused}`).toBe(true)
    for (const answer of answers.slice(Math.max(refused, 0))) {
      if (answer.type === 'error') {
        expect(answer.retryable).toBe(true)
        expect(['too_many_inflight', 'overloaded']).toContain(answer.code)
      } else expect(refused, 'none is taken behind one refused').toBe(-1)
    }
    for (const frame of refused < 0 ? [] : frames.slice(refused)) {
      socket.post({ ...frame, retry: true })
      await socket.wait('ack', (f) => f.id === frame.id)
    }
    await socket.close()
  })
})

async function expectReactions(conversation: string, message: string, expected: unknown[]) {
  const path = `/v1/conversations/${conversation}/messages?limit=5`
  const token = place().mallory.accessToken
  await eventually(`the reactions to ${message}`, async () => {
    type Page = { messages: { id: string; reactions: unknown[] }[] }
    const { messages } = await place().world.http.call<Page>('GET', path, { token })
    const shown = messages.find(({ id }) => id === message)?.reactions
    if (shown === undefined) return false
    if (JSON.stringify(shown) === JSON.stringify(expected)) return true
    throw new Error(`shown are ${JSON.stringify(shown)}`)
  })
}

describe('ids in MessagePack', () => {
  const mallorys = () => place().connect('parley.v1.msgpack')
  const own = () => uuidBytes(place().ownPlace)
  test('[M3] as text they are invalid, in lists too', async () => {
    const frames: [string, () => unknown[]][] = [
      ['edit', () => [3, uuidBytes(uuid7()), own(), uuid7(), { text: 'x' }]],
      ['delete', () => [4, uuidBytes(uuid7()), own(), uuid7()]],
      ['react', () => [5, uuidBytes(uuid7()), place().ownPlace, uuidBytes(uuid7()), '+1']],
      ['read', () => [6, place().ownPlace, 1]],
      ['typing', () => [7, place().ownPlace, true]],
      ['watch', () => [9, [place().mallory.id]]],
      ['15 bytes', () => [6, own().subarray(1), 1]],
      ['17 bytes in a list', () => [9, [Buffer.alloc(17, 1)]]],
    ]
    for (const [name, make] of frames) {
      const socket: Connected = await mallorys()
      socket.postRaw(encodeLoosely(make()))
      expect(await socket.wait('error'), name).toMatchObject({ code: 'invalid' })
      await socket.ping()
      await socket.close()
    }
  })
  test('[M8] an extension in one of them is bad_frame', async () => {
    const socket = await mallorys()
    const heads = encodeLoosely([6, own(), 1])
    socket.postRaw(Buffer.concat([heads.subarray(0, -1), Buffer.from([0xd4, 0x01, 0x00])]))
    await expectClose(socket, 'bad_frame', 4000)
  })
})
