import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arbitraryServerFrame } from './frame-arbitraries.ts'
import type { ClientFrame } from './frames.ts'
import { parseId } from './ids.ts'
import { messagePackCodec as codec } from './msgpack-codec.ts'
import { pack, unpack } from './pack.ts'

const group = '01980c37-0b7c-7f5d-a1c4-93e8d5b62f07'
const message = '01980c37-9e14-72b8-b6d9-4c51f0a7e833'
const ada = '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55'
const [g, m, a] = [parseId(group), parseId(message), parseId(ada)]

const client = (value: unknown) => codec.decodeClientMessage(pack(value))
const server = (value: unknown) => codec.decodeServerMessage(pack(value))
const read = (...frames: object[]) => ({
  ok: true,
  frames: frames.map((frame) => ({ ok: true, frame })),
})
const refused = (code: string, why: string) => ({
  ok: true,
  frames: [expect.objectContaining({ ok: false, code, message: why })],
})
const badFrame = expect.objectContaining({ ok: false, code: 'bad_frame' })

describe('parley.v1.msgpack', () => {
  it('[M1] a frame is its code and its fields, absent ones nil, trailing nils left out', () => {
    const react: ClientFrame = {
      type: 'react',
      id: message,
      conversation: group,
      target: message,
      emoji: '+1',
      retry: true,
    }
    expect(unpack(codec.encodeClientFrame(react))).toEqual([5, m, g, m, '+1', null, true])
    expect(unpack(codec.encodeClientFrame({ type: 'ping' }))).toEqual([10])
    expect(client([10, null, null])).toEqual(read({ type: 'ping' }))
    fc.assert(
      fc.property(arbitraryServerFrame, (frame) => {
        const array = unpack(codec.encodeServerFrame(frame)) as unknown[]
        expect(array.at(-1) ?? null).not.toBeNull()
      }),
    )
  })

  it('[M2] an integer first is a frame, an array first a batch, anything else no message', () => {
    expect(client([10])).toEqual(read({ type: 'ping' }))
    expect(client([[10], [10, 'r']])).toEqual(read({ type: 'ping' }, { type: 'ping', ref: 'r' }))
    const others: unknown[] = [
      ...[[], [[]], [null], ['ping'], [true], [1.5], [{}], [[10], 10], [[10], ['ping']]],
      ...[[[[10]]], [[10], null], 10, null, 'ping', {}, true, [2 ** 53], [Number.NaN], [m]],
    ]
    for (const other of others) expect(client(other), JSON.stringify(other)).toEqual(badFrame)
  })

  it('[M3] ids are 16 bytes, by themselves and in lists', () => {
    expect(client([7, g, true])).toEqual(
      read({ type: 'typing', conversation: group, active: true }),
    )
    expect(client([9, [a, g]])).toEqual(read({ type: 'watch', users: [ada, group] }))
    const notId = 'must be a UUID as a binary of 16 bytes'
    for (const other of [group, new Uint8Array(15), new Uint8Array(16), 7, [1], {}]) {
      expect(client([7, other, true])).toEqual(refused('invalid', `typing: conversation ${notId}`))
      expect(client([9, [a, other]])).toEqual(refused('invalid', `watch: users[1] ${notId}`))
    }
    expect(client([9, [a, null]])).toEqual(refused('invalid', `watch: users[1] ${notId}`))
  })

  it('[M4] maps by conversation are pairs; of two with one id the last counts', () => {
    const hello = (resume: unknown) => client([1, 't', 'd', resume])
    const frame = { type: 'hello', token: 't', device: 'd' }
    expect(
      hello([
        [g, 5, 'more'],
        [a, 0],
      ]),
    ).toEqual(read({ ...frame, resume: { [group]: 5, [ada]: 0 } }))
    expect(
      hello([
        [g, 5],
        [g, 3],
      ]),
    ).toEqual(read({ ...frame, resume: { [group]: 3 } }))
    expect(hello([])).toEqual(read({ ...frame, resume: {} }))
    const why = (resume: unknown) => {
      const decoded = hello(resume)
      const [first] = decoded.ok ? decoded.frames : []
      return first?.ok === false ? `${first.code}: ${first.message}` : undefined
    }
    expect(why({ [group]: 5 })).toContain('invalid: hello: resume must be a list')
    expect(why([[group, 5]])).toContain('invalid: hello: resume[0][0] must be a UUID')
    expect(
      why([
        [g, 5],
        [a, -1],
      ]),
    ).toContain('invalid: hello: resume[1][1] must be an integer')
    expect(why([[g]])).toContain('invalid: hello: resume[0][1] must be an integer')
    expect(why([g, 5])).toContain('invalid: hello: resume[0] must be a list')
    expect(why(new Array(1_001).fill([g, 1]))).toContain('up to 1000')
  })

  it('[M5] events stand in a page as arrays with their code', () => {
    const event = [67, g, 1, m, 'left', a, 9, { users: [ada] }]
    const page = (...events: unknown[]) => server([70, 'r', g, events, 3, 1, false])
    const frame = {
      type: 'event',
      conversation: group,
      seq: 1,
      id: message,
      kind: 'left',
      sender: ada,
      at: 9,
      body: { users: [ada] },
    }
    const rest = { type: 'synced', ref: 'r', conversation: group, head: 3, from: 1, more: false }
    expect(page(event, event)).toEqual(read({ ...rest, events: [frame, frame] }))
    for (const other of [event.slice(1), [65, m, g, 1, 9], { type: 'event' }, null, []]) {
      expect(page(event, other)).toEqual(
        refused('invalid', 'synced: events[1] must be an event frame'),
      )
    }
    const wrong = event.with(2, 0)
    expect(page(wrong)).toEqual(
      refused(
        'invalid',
        `synced: events[0].seq must be an integer from 1 to ${Number.MAX_SAFE_INTEGER}`,
      ),
    )
  })

  it('[M6] records are maps with the JSON names, and ids in them are strings', () => {
    const users = [{ id: ada, state: 'away', lastSeen: null, mood: 'good' }]
    expect(server([73, users])).toEqual(
      read({ type: 'presence', users: [{ id: ada, state: 'away' }] }),
    )
    expect(server([73, [{ id: a, state: 'away' }]])).toEqual(
      refused('invalid', 'presence: users[0].id must be a UUID in lower case'),
    )
    expect(server([73, [[ada, 'away']]])).toEqual(
      refused('invalid', 'presence: users[0] must be a map'),
    )
    expect(server([73, [{ id: ada }]])).toEqual(
      refused('invalid', 'presence: users[0].state is missing'),
    )
    expect(client([2, m, g, m])).toEqual(refused('invalid', 'send: body must be a map'))
  })

  it('[M7] any format of a whole number is an integer; ours are integer formats', () => {
    const sync = (digits: string) =>
      codec.decodeClientMessage(
        Buffer.concat([pack([8, 'r', g, null]).subarray(0, -1), Buffer.from(digits, 'hex')]),
      )
    const after = (value: number) =>
      read({ type: 'sync', ref: 'r', conversation: group, after: value })
    for (const five of ['05', 'cc05', 'cd0005', 'ce00000005', 'cf0000000000000005']) {
      expect(sync(five)).toEqual(after(5))
    }
    for (const five of ['d005', 'd10005', 'd200000005', 'd30000000000000005']) {
      expect(sync(five)).toEqual(after(5))
    }
    for (const five of ['ca40a00000', 'cb4014000000000000']) expect(sync(five)).toEqual(after(5))
    for (const most of ['cf001fffffffffffff', 'd3001fffffffffffff', 'cb433fffffffffffff']) {
      expect(sync(most)).toEqual(after(Number.MAX_SAFE_INTEGER))
    }
    const others = [
      ...['ff', 'd3ffffffffffffffff', 'cbbff0000000000000', 'cf0020000000000000'],
      ...['cfffffffffffffffff', 'd37fffffffffffffff', 'd38000000000000000', 'cb4340000000000000'],
      ...[
        'cb3fe0000000000000',
        'cb7ff0000000000000',
        'cb7ff8000000000000',
        'ca3f000000',
        'a135',
        'c3',
      ],
    ]
    const why = `sync: after must be an integer from 0 to ${Number.MAX_SAFE_INTEGER}`
    for (const other of others) expect(sync(other), other).toEqual(refused('invalid', why))
    const written = (time: number) =>
      Buffer.from(codec.encodeServerFrame({ type: 'pong', time }))
        .toString('hex')
        .slice(6)
    expect([127, 128, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER].map(written)).toEqual([
      ...['7f', 'cc80', 'ce00010000', 'ceffffffff', 'd30000000100000000', 'd3001fffffffffffff'],
    ])
  })

  it('[M11] of two equal keys the last counts', () => {
    const body = Buffer.from('82a474657874a161a474657874a162', 'hex')
    const send = Buffer.concat([pack([2, m, g, null]).subarray(0, -1), body])
    expect(codec.decodeClientMessage(send)).toEqual(
      read({ type: 'send', id: message, conversation: group, body: { text: 'b' } }),
    )
  })
})
