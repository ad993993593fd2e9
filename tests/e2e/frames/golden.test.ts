import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, test } from 'vitest'
import { within } from '../harness/deadline.ts'
import { type Subprotocol, subprotocols } from '../harness/frames.ts'
import { uuid7 } from '../harness/ids.ts'
import type { BareSocket } from './bare-socket.ts'
import { expectAlive, setUpPlace } from './place.ts'
import type { Fields } from './table.ts'

/**
 * The golden messages as they stand in `proto/golden`, byte for byte, to a running server: all that a client may send, in
 * other forms too, and all that must be refused. Their group and ids are made for real first.
 */

const place = setUpPlace()
const golden = new URL('../../../proto/golden/', import.meta.url)
const group = '01980c37-0b7c-7f5d-a1c4-93e8d5b62f07'
const message = '01980c37-9e14-72b8-b6d9-4c51f0a7e833'
const second = '01980c37-b1f0-7c3e-8d15-0e9a6bd4c712'

interface Index {
  client: { name: string; type: string }[]
  also: { file: string; sameAs: string[] }[]
  bad: { file: string; code: string; type?: string; id?: string; ref?: string; says: string }[]
}
const index = JSON.parse(readFileSync(new URL('index.json', golden), 'utf8')) as Index

/** A file's message: text, or the bytes of its hexadecimal. */
function messageOf(file: string): string | Uint8Array {
  const text = readFileSync(new URL(file, golden), 'utf8')
  return file.endsWith('.hex') ? Buffer.from(text.trim(), 'hex') : text
}
const protocolOf = (file: string): Subprotocol =>
  file.includes('.msgpack') ? 'parley.v1.msgpack' : 'parley.v1.json'
const fileOf = (name: string, protocol: Subprotocol) =>
  protocol === 'parley.v1.json' ? `client/${name}.json` : `client/${name}.msgpack.hex`

/** What answers each golden frame where `message` and `second` are taken by `send-least` and `react-least`. */
const conflict = (id: string) => ({ type: 'error', code: 'id_conflict', retryable: false, id })
const notFound = (ref: string) => ({ type: 'error', code: 'not_found', retryable: false, ref })
const answers: Record<string, Fields | undefined> = {
  'send-least': { type: 'ack', id: message, conversation: group, seq: 2, duplicate: true },
  'send-nul': conflict(message),
  send: conflict(message),
  'react-least': { type: 'ack', id: second, conversation: group, seq: 3, duplicate: true },
  react: conflict(second),
  'react-retry': conflict(second),
  edit: conflict(second),
  'edit-least': conflict(second),
  delete: conflict(second),
  'delete-least': conflict(second),
  read: { type: 'ok', ref: 'r1' },
  'read-least': undefined,
  typing: { type: 'ok', ref: 'r2' },
  'typing-least': undefined,
  sync: notFound('r3'),
  'sync-least': notFound(''),
  watch: { type: 'ok', ref: 'r4' },
  'watch-least': undefined,
  ping: { type: 'pong', ref: 'r5' },
  'ping-least': { type: 'pong' },
  hello: { type: 'error', code: 'invalid' },
  'hello-least': { type: 'error', code: 'invalid' },
}

beforeAll(async () => {
  const { world, ann, ben } = place()
  const made = { id: group, kind: 'group', members: [ben.id], title: 'Engines' }
  const call = { token: ann.accessToken, body: made, expect: 201 }
  await world.http.call('POST', '/v1/conversations', call)
  const socket = await place().connect(ann, 'parley.v1.msgpack')
  socket.postRaw(messageOf('client/send-least.msgpack.hex'))
  await socket.wait('ack', (f) => f.id === message && f.duplicate === undefined)
  socket.postRaw(messageOf('client/react-least.msgpack.hex'))
  await socket.wait('ack', (f) => f.id === second && f.duplicate === undefined)
})

/** Posts, and takes the answers that came until the link answered a ping behind it. */
async function answersTo(socket: BareSocket, raw: string | Uint8Array): Promise<Fields[]> {
  const from = socket.frames.length
  socket.postRaw(raw)
  const ref = uuid7()
  socket.post({ type: 'ping', ref })
  await socket.wait('pong', (f) => f.ref === ref)
  const wanted = ['ack', 'ok', 'error', 'synced', 'pong']
  return socket.frames
    .slice(from)
    .map((frame) => frame.fields)
    .filter((fields) => wanted.includes(String(fields.type)) && fields.ref !== ref)
}

/** Answers to commands come when the log has them: the ping overtakes them. */
async function expectAnswers(socket: BareSocket, names: readonly string[], file: string) {
  const wanted = names
    .map((name) => answers[name])
    .filter((answer): answer is Fields => answer !== undefined)
  const from = socket.frames.length
  const got = await answersTo(socket, messageOf(file))
  for (const [i, fields] of wanted.entries()) {
    const here = got.find((frame) => matches(frame, fields))
    if (here !== undefined) continue
    if (got.length >= wanted.length) expect(got).toContainEqual(expect.objectContaining(fields))
    const late = await socket.wait(String(fields.type), (f) => matches(f, fields), { from })
    expect(late.fields, `${names[i]}`).toMatchObject(fields)
  }
  expect(got.length).toBeLessThanOrEqual(wanted.length)
}

function matches(frame: Fields, wanted: Fields): boolean {
  return Object.entries(wanted).every(([name, value]) => frame[name] === value)
}

describe.each(subprotocols)('[F14][B3] client, %s', (protocol) => {
  const names = index.client.map(({ name }) => name).filter((name) => !name.startsWith('auth'))
  test.each(names)('%s', async (name) => {
    const socket = await place().connect(place().ann, protocol)
    await expectAnswers(socket, [name], fileOf(name, protocol))
  })
  test.each(['hello', 'hello-least'])(
    '[C4] %s as the first frame: its token holds not',
    async (name) => {
      const socket = await place().open(protocol)
      socket.postRaw(messageOf(fileOf(name, protocol)))
      expect((await socket.wait('error')).fields).toMatchObject({ code: 'unauthenticated' })
      expect(await within('it closes', 5_000, socket.closed)).toBe(4001)
    },
  )
  test.each(['auth', 'auth-least'])('[C8] %s: its token holds not', async (name) => {
    const socket = await place().connect(place().ann, protocol)
    socket.postRaw(messageOf(fileOf(name, protocol)))
    const { fields } = await socket.wait('error')
    expect(fields).toMatchObject({ code: 'unauthenticated', retryable: false })
    expect(fields.ref).toBe(name === 'auth' ? 'r6' : undefined)
    expect(await within('it closes', 5_000, socket.closed)).toBe(4001)
  })
  test('[F14] the bytes of `ok` and of `presence` are the golden ones', async () => {
    const { ann } = place()
    const socket = await place().connect(ann, protocol)
    socket.post({ type: 'auth', token: ann.accessToken, ref: 'r6' })
    const ok = await socket.wait('ok', (f) => f.ref === 'r6')
    const golden = JSON.parse(String(messageOf('server/ok.json')))
    expect(ok.fields).toEqual(golden)
    const from = socket.frames.length
    socket.postRaw(messageOf(fileOf('watch', protocol)))
    const { fields } = await socket.wait('presence', () => true, { from })
    expect(fields.users).toEqual([
      { id: '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55', state: 'offline' },
      { id: '01980c36-51aa-7d04-8f2e-6b0a94c3d218', state: 'offline' },
    ])
  })
})

describe('[F5][F4][M7][J4] also: other forms are read as the same frames', () => {
  test.each(index.also)('$file', async ({ file, sameAs }) => {
    const socket = await place().connect(place().ann, protocolOf(file))
    await expectAnswers(socket, sameAs, file)
  })
})

describe('[F6][F7][F8] bad: refused as the index says', () => {
  test.each(index.bad)('$file: $says', async ({ file, code, type, id, ref }) => {
    const protocol = protocolOf(file)
    const isHello = type === 'hello'
    const socket = isHello
      ? await place().open(protocol)
      : await place().connect(place().ann, protocol)
    const { length } = socket.frames
    socket.postRaw(messageOf(file))
    // [J3] Text that is no UTF-8 can only be sent by hand: it comes as a binary message here, which is none either.
    const { fields } = await socket.wait('error', () => true, { from: length })
    expect(fields).toEqual({
      type: 'error',
      code,
      message: expect.any(String),
      retryable: false,
      ...(id === undefined ? {} : { id }),
      ...(ref === undefined ? {} : { ref }),
    })
    if (code === 'bad_frame') {
      expect(await within('it closes', 5_000, socket.closed)).toBe(4000)
    } else if (!isHello) await expectAlive(socket)
  })
})

test('[F3] what is refused of a batch hinders no other frame of it; a bad one spoils all', async () => {
  for (const protocol of subprotocols) {
    const socket = await place().connect(place().ann, protocol)
    const from = socket.frames.length
    if (protocol === 'parley.v1.json') {
      socket.postRaw('[{"type":"ping","ref":"a"},{"type":"dance"},{"type":"ping","ref":"b"}]')
    } else socket.postRaw(Uint8Array.from([0x93, 0x92, 10, 0xa1, 97, 0x91, 99, 0x92, 10, 0xa1, 98]))
    await socket.wait('pong', (f) => f.ref === 'b')
    expect(socket.frames.slice(from).map(({ fields }) => fields.ref ?? fields.code)).toEqual([
      'a',
      'unsupported',
      'b',
    ])
    const next = socket.frames.length
    if (protocol === 'parley.v1.json') socket.postRaw('[{"type":"ping","ref":"c"},7]')
    else socket.postRaw(Uint8Array.from([0x92, 0x92, 10, 0xa1, 99, 7]))
    expect(await within('it closes', 5_000, socket.closed)).toBe(4000)
    expect(socket.frames.slice(next).map(({ fields }) => fields.code)).toEqual(['bad_frame'])
  }
})
