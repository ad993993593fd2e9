import { describe, expect, it } from 'vitest'
import { jsonCodec as codec } from './json-codec.ts'

const group = '01980c37-0b7c-7f5d-a1c4-93e8d5b62f07'
const message = '01980c37-9e14-72b8-b6d9-4c51f0a7e833'

const text = (json: string) => codec.decodeClientMessage(Buffer.from(json))
const client = (value: unknown) => text(JSON.stringify(value))
const read = (...frames: object[]) => ({
  ok: true,
  frames: frames.map((frame) => ({ ok: true, frame })),
})
const invalid = expect.objectContaining({ ok: false, code: 'invalid' })
const badFrame = expect.objectContaining({ ok: false, code: 'bad_frame' })
const refused = { ok: true, frames: [invalid] }

describe('parley.v1.json', () => {
  it('[J1] [J2] a message is an object with a type, or an array of those', () => {
    expect(text('{"type":"ping"}')).toEqual(read({ type: 'ping' }))
    expect(text('[{"type":"ping"},{"type":"ping","ref":""}]')).toEqual(
      read({ type: 'ping' }, { type: 'ping', ref: '' }),
    )
    const others = [
      ...['', ' ', 'null', '7', '"ping"', 'true', '{}', '[]', '[[]]', '[null]', '{"type":null}'],
      ...['{"type":10}', '{"type":["ping"]}', '[{"type":"ping"},{}]', '[{"type":"ping"},"ping"]'],
      ...[
        '{"type":"ping"}x',
        "{'type':'ping'}",
        '{"type":"ping",}',
        '{type:"ping"}',
        'NaN',
        '[1,2',
      ],
    ]
    for (const other of others) expect(text(other), other).toEqual(badFrame)
  })

  it('[J3] text is UTF-8 without a byte order mark', () => {
    const ping = Buffer.from('{"type":"ping","ref":"é"}')
    expect(codec.decodeClientMessage(ping)).toEqual(read({ type: 'ping', ref: 'é' }))
    expect(codec.decodeClientMessage(Buffer.from(ping.toString(), 'latin1'))).toEqual(badFrame)
    expect(codec.decodeClientMessage(Buffer.from(`\ufeff${ping}`))).toEqual(badFrame)
  })

  it('[J4] of two equal keys the last counts', () => {
    expect(text('{"type":"auth","ref":"a","type":"ping","ref":"b"}')).toEqual(
      read({ type: 'ping', ref: 'b' }),
    )
    expect(text('{"type":"ping","type":7}')).toEqual(badFrame)
  })

  it('[J5] [N6] numbers count by value, and nothing else is a number', () => {
    const sync = (after: string) =>
      text(`{"type":"sync","ref":"r","conversation":"${group}","after":${after}}`)
    const values: [string, number][] = [
      ...([
        ['5', 5],
        ['5.0', 5],
        ['0.5e1', 5],
        ['50E-1', 5],
        ['0', 0],
      ] as [string, number][]),
      ['9007199254740991', Number.MAX_SAFE_INTEGER],
    ]
    for (const [written, after] of values) {
      expect(sync(written)).toEqual(read({ type: 'sync', ref: 'r', conversation: group, after }))
    }
    const zero = sync('-0.0')
    const [frame] = zero.ok ? zero.frames : []
    expect(frame).toMatchObject({ ok: true, frame: { after: 0 } })
    expect(frame?.ok && frame.frame.type === 'sync' && Object.is(frame.frame.after, 0)).toBe(true)
    for (const other of [
      '"5"',
      '-1',
      '1.5',
      '9007199254740992',
      '1e400',
      'true',
      '[5]',
      '{}',
      'null',
    ]) {
      expect(sync(other), other).toEqual(refused)
    }
    const typing = (active: unknown) => client({ type: 'typing', conversation: group, active })
    for (const other of [0, 1, 'true', null, []]) expect(typing(other)).toEqual(refused)
  })

  it('[N8] seqs start at 1; only where none is meant may a 0 stand', () => {
    const seq = (value: number) => client({ type: 'read', conversation: group, seq: value })
    expect(seq(0)).toEqual(refused)
    expect(seq(1)).toEqual(read({ type: 'read', conversation: group, seq: 1 }))
    const hello = { type: 'hello', token: 't', device: 'd', resume: { [group]: 0 } }
    expect(client(hello)).toEqual(read(hello))
  })

  it('[J6] [N7] half a surrogate pair is invalid in a field and ignored elsewhere', () => {
    expect(text('{"type":"ping","ref":"\\ud83d\\ude00"}')).toEqual(
      read({ type: 'ping', ref: '😀' }),
    )
    for (const half of ['\\ud83d', '\\ude00', '\\ude00\\ud83d', 'a\\ud83db']) {
      expect(text(`{"type":"ping","ref":"${half}"}`)).toEqual(refused)
      expect(text(`{"type":"ping","more":"${half}","${half}":1}`)).toEqual(read({ type: 'ping' }))
    }
  })

  it('[J7] writes the type, then the fields in the order of the table, and nothing absent', () => {
    const body = { attachments: [message], mood: 'good', text: 'a"\u0000b', replyTo: undefined }
    const frame = { retry: true, body, conversation: group, more: 1, id: message, type: 'send' }
    expect(Buffer.from(codec.encodeClientFrame(frame as never)).toString()).toBe(
      `{"type":"send","id":"${message}","conversation":"${group}","body":{"text":"a\\"\\u0000b","attachments":["${message}"]},"retry":true}`,
    )
  })

  it('[F4] null is absent, and what must be there is missed', () => {
    expect(client({ type: 'ping', ref: null })).toEqual(read({ type: 'ping' }))
    const send = { type: 'send', id: message, conversation: group, body: { text: 'a' } }
    expect(client({ ...send, retry: null })).toEqual(read(send))
    for (const name of ['id', 'conversation', 'body']) {
      const expected = { ok: false, code: 'invalid', message: `send: ${name} is missing` }
      for (const missing of [null, undefined]) {
        const decoded = client({ ...send, [name]: missing })
        expect(decoded).toEqual({ ok: true, frames: [expect.objectContaining(expected)] })
      }
    }
  })

  it('[F11] a list of ids is a set, bounded as it was sent', () => {
    const watch = (users: string[]) => client({ type: 'watch', users })
    expect(watch([group, message, group])).toEqual(read({ type: 'watch', users: [group, message] }))
    expect(watch(new Array(500).fill(group))).toEqual(read({ type: 'watch', users: [group] }))
    expect(watch(new Array(501).fill(group))).toEqual(refused)
  })

  it('[F13] the empty string is a ref', () => {
    expect(client({ type: 'ping', ref: '' })).toEqual(read({ type: 'ping', ref: '' }))
    const wrong = client({ type: 'typing', conversation: group, active: 1, ref: '' })
    expect(wrong).toMatchObject({ frames: [{ ok: false, ref: '' }] })
  })

  it('[N2] ids that a client makes are of version 7; others may be of any', () => {
    const send = { type: 'send', id: message, conversation: group, body: { text: 'a' } }
    const v4 = '0b0a5f3c-9c3e-4d41-8a57-0f4f5b6f6f10'
    expect(client({ ...send, conversation: v4 })).toEqual(read({ ...send, conversation: v4 }))
    for (const type of ['send', 'edit', 'delete', 'react']) {
      const frame = { ...send, type, target: message, emoji: '+1', id: v4 }
      expect(client(frame)).toEqual({
        ok: true,
        frames: [
          {
            ok: false,
            code: 'invalid',
            message: `${type}: id must be a UUID of version 7`,
            type,
            id: v4,
          },
        ],
      })
    }
  })
})
