import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Codec, codecFor, type DecodedMessage } from './codec.ts'
import { arbitraryClientFrame, arbitraryServerFrame } from './frame-arbitraries.ts'
import { pack } from './pack.ts'

/** Any bytes get an answer of the documented form, soon, and nothing throws. */

const codecs = [codecFor('parley.v1.json'), codecFor('parley.v1.msgpack')]

function expectAnswer<F extends { type: string }>(decoded: DecodedMessage<F>) {
  if (!decoded.ok) {
    expect(decoded.code).toBe('bad_frame')
    expect(decoded.message).not.toBe('')
    return
  }
  expect(decoded.frames.length).toBeGreaterThan(0)
  for (const frame of decoded.frames) {
    if (frame.ok) expect(typeof frame.frame.type).toBe('string')
    else expect(['invalid', 'unsupported', 'too_large']).toContain(frame.code)
  }
}

function decodeBoth(codec: Codec, bytes: Uint8Array) {
  expectAnswer(codec.decodeClientMessage(bytes))
  expectAnswer(codec.decodeServerMessage(bytes))
}

/** Some bytes changed, cut out, doubled or put in between. */
const change = fc.record({
  at: fc.nat(),
  length: fc.nat(6),
  put: fc.uint8Array({ maxLength: 6 }),
})
type Change = { at: number; length: number; put: Uint8Array }
function changed(bytes: Uint8Array, changes: Change[]): Uint8Array {
  return changes.reduce((given, { at, length, put }) => {
    const start = at % (given.length + 1)
    return Buffer.concat([given.subarray(0, start), put, given.subarray(start + length)])
  }, bytes)
}

describe('fuzz', () => {
  it('[F8] random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        for (const codec of codecs) decodeBoth(codec, bytes)
      }),
      { numRuns: 5_000 },
    )
  })

  it('[F8] random texts that look like JSON', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      ':',
      ',',
      '\\',
      '\\u',
      'd83d',
      '"type"',
      '"ping"',
      '"ref"',
      'null',
      '-',
      '1e9',
      ' ',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        decodeBoth(codecFor('parley.v1.json'), Buffer.from(pieces.join('')))
      }),
      { numRuns: 5_000 },
    )
  })

  it('[F8] sound frames, changed', () => {
    for (const codec of codecs) {
      const bytes = fc.oneof(
        arbitraryClientFrame.map(codec.encodeClientFrame),
        arbitraryServerFrame.map(codec.encodeServerFrame),
      )
      fc.assert(
        fc.property(bytes, fc.array(change, { minLength: 1, maxLength: 4 }), (given, changes) => {
          decodeBoth(codec, changed(given, changes))
        }),
        { numRuns: 3_000 },
      )
    }
  })

  it('[F8] values of any type in any field', () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.constantFrom(-0, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -1, 1.5),
    )
    fc.assert(
      fc.property(fc.nat(80), fc.array(value, { maxLength: 9 }), (code, fields) => {
        decodeBoth(codecFor('parley.v1.msgpack'), pack([code, ...fields]))
      }),
      { numRuns: 5_000 },
    )
  })

  it('[F8] a message as large as any is answered within a second', () => {
    const size = 64 * 1024
    const worst = [
      Buffer.alloc(size, 0x91),
      Buffer.alloc(size, 0x90),
      Buffer.alloc(size, 0x80),
      Buffer.concat([Buffer.from('dd0000fff0', 'hex'), Buffer.alloc(0xfff0, 0x80)]),
      Buffer.concat([Buffer.from('dd0000fff0', 'hex'), Buffer.alloc(0xfff0, 0xa0)]),
      Buffer.concat([Buffer.from('df00003fff', 'hex'), Buffer.alloc(0xfff0, 0xa0)]),
      Buffer.alloc(size, '['),
      Buffer.alloc(size, '{"":'),
      Buffer.alloc(size, '"\\'),
      Buffer.from(`[${'{},'.repeat(size / 3 - 2)}{}]`),
      Buffer.from(`{"type":"ping",${'"a":0,'.repeat(size / 6 - 9)}"b":0}`),
    ]
    for (const bytes of worst) {
      for (const codec of codecs) {
        const start = performance.now()
        decodeBoth(codec, bytes)
        expect(performance.now() - start).toBeLessThan(1_000)
      }
    }
  })
})
