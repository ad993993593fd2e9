import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Command,
  contentDigest,
  decodeCommandRecord,
  encodeCommandRecord,
} from './commands.ts'
import { arbitraryId } from './frame-arbitraries.ts'
import { conversationKinds, histories, type MessageBody, roles } from './frames.ts'
import { readMessageBody } from './message-body.ts'
import { pack } from './pack.ts'

const id = arbitraryId()
const users = fc.uniqueArray(id, { minLength: 1, maxLength: 5 })
const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 300 })
const body: fc.Arbitrary<MessageBody> = fc.record(
  { text, replyTo: id, mentions: users },
  { requiredKeys: ['text'], noNullPrototype: true },
)
const base = fc.record({
  id: arbitraryId(7),
  conversation: id,
  sender: id,
  at: fc.maxSafeNat(),
  rules: fc.nat(),
  correlation: fc.nat(0xffff_ffff),
})
const content: fc.Arbitrary<object> = fc.oneof(
  fc.record(
    {
      type: fc.constant('create'),
      kind: fc.constantFrom(...conversationKinds),
      title: text,
      history: fc.constantFrom(...histories),
      members: users,
    },
    { requiredKeys: ['type', 'kind', 'history', 'members'] },
  ),
  fc.record({ type: fc.constant('send'), body }),
  fc.record({ type: fc.constant('edit'), target: id, body }),
  fc.record({ type: fc.constant('delete'), target: id }),
  fc.record({ type: fc.constant('react'), target: id, emoji: text, remove: fc.boolean() }),
  fc.record({ type: fc.constant('add'), users }),
  fc.record({ type: fc.constant('remove'), user: id }),
  fc.record({ type: fc.constant('role'), user: id, role: fc.constantFrom(...roles) }),
  fc.record({ type: fc.constant('update'), title: text }),
)
const command = fc.tuple(base, content).map(([b, c]) => ({ ...b, ...c }) as Command)

describe('commands', () => {
  it('[D2] a record of any commands comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 20 }), fc.string(), (commands, replyTo) => {
        const record = { replyTo, commands }
        expect(decodeCommandRecord(encodeCommandRecord(record))).toEqual(record)
      }),
    )
  })

  it('[D2] bytes that are no command record throw', () => {
    const row = [2, Buffer.alloc(16), Buffer.alloc(16), Buffer.alloc(16), 1, 1, 1, { text: 'x' }]
    const strange: unknown[] = [
      null,
      {},
      [],
      ['a'],
      [1, []],
      ['a', [[99, ...row.slice(1)]]],
      ['a', [[2, Buffer.alloc(15), ...row.slice(2)]]],
      ['a', ['no row']],
    ]
    for (const value of strange) expect(() => decodeCommandRecord(pack(value))).toThrow()
    const bytes = pack(['a', [row]])
    expect(() => decodeCommandRecord(bytes.subarray(0, bytes.length - 1))).toThrow()
  })

  it('[D3] a retry has the hash of its first, whatever else changed on the way', () => {
    fc.assert(
      fc.property(command, base, (first, other) => {
        const retry = { ...first, ...other, sender: first.sender } as Command
        expect(contentDigest(retry)).toEqual(contentDigest(first))
        const copied = decodeCommandRecord(encodeCommandRecord({ replyTo: '', commands: [first] }))
          .commands[0] as Command
        expect(contentDigest(copied)).toEqual(contentDigest(first))
      }),
    )
  })

  it('[D3] other content, another type or another sender has another hash', () => {
    const hashes = fc.sample(command, 300).map((c) => {
      const {
        id: _id,
        conversation: _conversation,
        at: _at,
        rules: _rules,
        correlation: _c,
        ...said
      } = c
      return [contentDigest(c).hash.toString('hex'), JSON.stringify(said)] as const
    })
    const said = new Map<string, string>()
    for (const [hash, what] of hashes) {
      expect(said.get(hash) ?? what).toBe(what)
      said.set(hash, what)
    }
    expect(said.size).toBe(new Set(hashes.map(([, what]) => what)).size)
  })

  it('[B3] a body has one hash however its fields were ordered, and with empty ones or without', () => {
    const sender = '01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55'
    const bodies = [
      { text: 'a', replyTo: sender, mentions: [sender] },
      { mentions: [sender, sender], replyTo: sender, text: 'a', attachments: [] },
      { attachments: null, mentions: [sender], text: 'a', more: 1, replyTo: sender },
    ]
    const hashes = bodies.map((given) => {
      const read = readMessageBody(given)
      if (!read.ok) throw new Error(read.message)
      const send = { type: 'send', body: read.body, sender } as Command
      return contentDigest(send).hash.toString('hex')
    })
    expect(new Set(hashes).size).toBe(1)
  })
})
