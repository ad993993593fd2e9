import { describe, expect, it } from 'vitest'
import { limits } from './limits.ts'
import { readMessageBody } from './message-body.ts'
import { pack } from './pack.ts'

const ids = Array.from(
  { length: 101 },
  (_, n) => `01980c36-4d2e-7a61-9c3b-${n.toString(16).padStart(12, '0')}`,
)
const [a, b] = ids as [string, string]
const codeOf = (body: unknown) => {
  const read = readMessageBody(body)
  return read.ok ? 'ok' : read.code
}

describe('message body', () => {
  it('[B1] has text, replyTo, mentions, attachments and drops what else is there', () => {
    const given = JSON.parse(
      `{"constructor":1,"__proto__":{"text":"no"},"attachments":["${a}"],"mentions":["${b}"],"replyTo":"${a}","text":"t"}`,
    )
    const read = readMessageBody(given)
    expect(read).toEqual({
      ok: true,
      body: { text: 't', replyTo: a, mentions: [b], attachments: [a] },
    })
    expect(read.ok && Object.keys(read.body)).toEqual([
      'text',
      'replyTo',
      'mentions',
      'attachments',
    ])
    expect(read.ok && Object.getPrototypeOf(read.body)).toBe(Object.prototype)
  })

  it('[B1] refuses a wrong type in a field and names it', () => {
    const wrong: [object, string][] = [
      [{ text: 5 }, 'body.text'],
      [{ text: ['a'] }, 'body.text'],
      [{ text: 'a', replyTo: 'x' }, 'body.replyTo'],
      [{ text: 'a', mentions: a }, 'body.mentions'],
      [{ text: 'a', mentions: [a, 7] }, 'body.mentions[1]'],
      [{ text: 'a', mentions: [a, null] }, 'body.mentions[1]'],
      [{ text: 'a', attachments: [a.toUpperCase()] }, 'body.attachments[0]'],
      [{ text: 'a', mentions: ids }, 'body.mentions'],
      [{ text: 'a', attachments: ids.slice(0, 11) }, 'body.attachments'],
      [{ text: 'half \ud83d a pair' }, 'body.text'],
    ]
    for (const [body, name] of wrong) {
      const read = readMessageBody(body)
      expect(read).toMatchObject({ ok: false, code: 'invalid' })
      expect(!read.ok && read.message.split(' ')[0]).toBe(name)
    }
    for (const body of [null, undefined, 'text', 7, true, [], [{ text: 'a' }]]) {
      expect(codeOf(body)).toBe('invalid')
    }
  })

  it('[B2] says something: a text or attachments', () => {
    const nothing = [
      {},
      { text: '' },
      { text: null },
      { attachments: [] },
      { replyTo: a },
      { mentions: [a] },
      { text: '', replyTo: a, mentions: [a], attachments: [] },
    ]
    for (const body of nothing) expect(codeOf(body)).toBe('invalid')
    for (const body of [{ text: ' ' }, { text: '\u0000' }, { attachments: [a] }]) {
      expect(codeOf(body)).toBe('ok')
    }
  })

  it('[B3] leaves out what is empty and what is named twice', () => {
    expect(readMessageBody({ text: '', mentions: [], attachments: [a, b, a, a] })).toEqual({
      ok: true,
      body: { attachments: [a, b] },
    })
    expect(readMessageBody({ text: 'a', mentions: [b, a, b] })).toEqual({
      ok: true,
      body: { text: 'a', mentions: [b, a] },
    })
  })

  it('[B4] takes texts up to 8,000 UTF-16 code units', () => {
    expect(codeOf({ text: 'a'.repeat(limits.textLength) })).toBe('ok')
    expect(codeOf({ text: 'a'.repeat(limits.textLength + 1) })).toBe('invalid')
    expect(codeOf({ text: '😀'.repeat(limits.textLength / 2) })).toBe('ok')
    expect(codeOf({ text: '😀'.repeat(limits.textLength / 2 + 1) })).toBe('invalid')
  })

  it('[B4] takes bodies up to exactly 16 KiB as MessagePack, beyond is too_large', () => {
    const around = pack({ text: 'é'.repeat(200) }).length - 400
    const full = (bytes: number) => {
      const wide = Math.floor((bytes - around) / 3)
      return { text: '漢'.repeat(wide) + 'a'.repeat(bytes - around - 3 * wide) }
    }
    expect(pack(full(limits.bodyBytes)).length).toBe(limits.bodyBytes)
    expect(codeOf(full(limits.bodyBytes))).toBe('ok')
    expect(codeOf(full(limits.bodyBytes + 1))).toBe('too_large')
    const mentions = ids.slice(0, 100)
    expect(codeOf({ text: '漢'.repeat(4_100), mentions })).toBe('ok')
    expect(codeOf({ text: '漢'.repeat(4_200), mentions })).toBe('too_large')
    expect(codeOf({ text: '漢'.repeat(8_001) })).toBe('invalid')
    expect(codeOf({ text: 'a', junk: 'x'.repeat(20_000) })).toBe('ok')
  })
})
