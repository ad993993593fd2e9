import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arbitraryClientFrame, arbitraryServerFrame } from './frame-arbitraries.ts'
import { limits } from './limits.ts'
import { messagePackCodec } from './msgpack-codec.ts'
import { guardMessagePack } from './msgpack-guard.ts'
import { pack, unpack } from './pack.ts'

const hex = (digits: string) => Buffer.from(digits.replaceAll(' ', ''), 'hex')
const passes = (digits: string) => guardMessagePack(hex(digits)).ok
const whyNot = (bytes: Uint8Array) => {
  const guarded = guardMessagePack(bytes)
  return guarded.ok ? 'ok' : guarded.message
}

describe('guard of MessagePack', () => {
  it('[M7] passes every plain type in every format', () => {
    const values = [
      ...['c0', 'c2', 'c3', '00', '7f', 'e0', 'ff'],
      ...['cc ff', 'cd ffff', 'ce ffffffff', 'cf ffffffffffffffff'],
      ...['d0 80', 'd1 8000', 'd2 80000000', 'd3 8000000000000000'],
      ...['ca 3f800000', 'cb 3ff0000000000000'],
      ...['a0', 'a1 61', 'd9 01 61', 'da 0001 61', 'db 00000001 61'],
      ...['c4 00', 'c4 01 ff', 'c5 0001 ff', 'c6 00000001 ff'],
      ...['90', '91 00', 'dc 0001 00', 'dd 00000001 00'],
      ...['80', '81 a161 00', 'de 0001 a161 00', 'df 00000001 a161 00', '81 d90161 00'],
    ]
    for (const value of values) {
      expect(passes(value), value).toBe(true)
      expect(passes(`92 ${value} ${value}`), value).toBe(true)
      expect(passes(`82 a161 ${value} a162 ${value}`), value).toBe(true)
      // And none of them cut short.
      const whole = hex(`92 ${value} ${value}`)
      for (let end = 0; end < whole.length; end++) {
        expect(guardMessagePack(whole.subarray(0, end)).ok, value).toBe(false)
      }
    }
  })

  it('[M8] refuses extensions of every form and the byte 0xc1, wherever they stand', () => {
    const types = [
      ...['c1', 'c7 00 01', 'c8 0000 01', 'c9 00000000 01'],
      ...[
        'd4 01 00',
        'd5 01 0000',
        'd6 ff 00000000',
        `d7 ff ${'00'.repeat(8)}`,
        `d8 01 ${'00'.repeat(16)}`,
      ],
      ...['d4 72 40', 'd6 69 00000001', 'd6 70 00000001', 'c7 03 78 92 a161 a0'],
    ]
    for (const type of types) {
      for (const around of ['', '91', '92 00', '81 a161', '94 0a c0 c0']) {
        const guarded = guardMessagePack(hex(`${around} ${type}`))
        expect(guarded, `${around} ${type}`).toMatchObject({ ok: false, code: 'bad_frame' })
      }
    }
    expect(whyNot(hex('92 0a d4 01 00'))).toBe('byte 2: extension types are refused')
    expect(whyNot(hex('92 0a c1'))).toBe('byte 2: 0xc1 is no type')
  })

  it('[M9] refuses what is longer or shorter than it says, at the place where it goes wrong', () => {
    const wrong: [string, string][] = [
      ['', 'byte 0: the bytes end within a value'],
      ['92 0a', 'byte 0: a container is longer than the bytes'],
      ['92 91 00', 'byte 3: the bytes end within a value'],
      ['92 0a cd 00', 'byte 2: the bytes end within a value'],
      ['91 d9', 'byte 1: the bytes end within a value'],
      ['91 a2 61', 'byte 1: a string is longer than the bytes'],
      ['91 db ffffffff 61', 'byte 1: a string is longer than the bytes'],
      ['91 c4 02 00', 'byte 1: a binary is longer than the bytes'],
      ['91 c6 ffffffff', 'byte 1: a binary is longer than the bytes'],
      ['dd ffffffff 00', 'byte 0: a container is longer than the bytes'],
      ['df 80000000 a161 00', 'byte 0: a container is longer than the bytes'],
      ['81 a161', 'byte 3: the bytes end within a value'],
      ['93 90', 'byte 0: a container is longer than the bytes'],
      ['91 0a c0', 'byte 2: bytes follow the message'],
    ]
    for (const [digits, why] of wrong) expect(whyNot(hex(digits)), digits).toBe(why)
  })

  it('[F9] passes 16 levels and refuses 17, not counting the batch around a frame', () => {
    const frame = (levels: number) => `92 0a ${'91'.repeat(levels - 2)} 90`
    expect(passes(frame(16))).toBe(true)
    expect(passes(frame(17))).toBe(false)
    expect(passes(`91 ${frame(16)}`)).toBe(true)
    expect(passes(`91 ${frame(17)}`)).toBe(false)
    expect(passes(`dc 0002 91 0a ${frame(16)}`)).toBe(true)
    expect(passes(`92 0a ${'81 a161'.repeat(14)} 80`)).toBe(true)
    expect(passes(`92 0a ${'81 a161'.repeat(15)} 80`)).toBe(false)
    expect(whyNot(Buffer.alloc(60_000, 0x91))).toBe('byte 17: nested deeper than 16')
    expect(whyNot(hex(`${'dd00000001'.repeat(1_000)} 90`))).toContain('nested deeper than 16')
  })

  it('[F10] refuses more than 16,384 values', () => {
    const of = (count: number) => pack(new Array(count).fill(0))
    expect(whyNot(of(limits.elements - 1))).toBe('ok')
    expect(whyNot(of(limits.elements))).toContain('more than 16384 values')
    expect(guardMessagePack(of(limits.elements), limits.serverElements).ok).toBe(true)
  })

  it('[M10] agrees with the platform on what UTF-8 is', () => {
    const fatal = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const isUtf8 = (bytes: Uint8Array) => {
      try {
        fatal.decode(bytes)
        return true
      } catch {
        return false
      }
    }
    const check = (bytes: Uint8Array) => {
      const message = Buffer.concat([
        hex('91 da'),
        hex(bytes.length.toString(16).padStart(4, '0')),
        bytes,
      ])
      expect(guardMessagePack(message).ok, bytes.toString()).toBe(isUtf8(bytes))
    }
    for (let a = 0; a < 256; a++) {
      for (let b = 0; b < 256; b += 5) {
        check(Uint8Array.of(a, b))
        check(Uint8Array.of(a, b, 0x80))
        check(Uint8Array.of(0x61, a, b, 0xbf, 0x80))
      }
    }
    for (const edge of [
      'c080',
      'c1bf',
      'e08080',
      'e09fbf',
      'eda080',
      'edbfbf',
      'ed9fbf',
      'ee8080',
      'f0808080',
      'f08fbfbf',
      'f0908080',
      'f48fbfbf',
      'f4908080',
      'f5808080',
      'ff',
    ]) {
      check(hex(edge))
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 12 }), check))
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => check(Buffer.from(text))))
  })

  it('[M10] names the first byte that is no UTF-8', () => {
    expect(whyNot(hex('92 0a a3 61 ff 61'))).toBe('byte 4: a string is no UTF-8')
    expect(whyNot(hex('81 a1 80 00'))).toBe('byte 2: a string is no UTF-8')
  })

  it('[M11] refuses keys that are no strings', () => {
    for (const key of ['01', 'c0', 'c3', 'c4 01 61', '90', '80', 'cb 3ff0000000000000']) {
      expect(whyNot(hex(`81 ${key} 00`)), key).toBe('byte 1: a map has a key that is no string')
      expect(whyNot(hex(`82 a161 00 ${key} 00`)), key).toContain('a key that is no string')
    }
    expect(passes('82 a161 01 a162 81 a163 02')).toBe(true)
  })

  it('[M1] passes whatever the encoder writes', () => {
    fc.assert(
      fc.property(arbitraryClientFrame, (frame) => {
        expect(guardMessagePack(messagePackCodec.encodeClientFrame(frame))).toEqual({ ok: true })
      }),
    )
    fc.assert(
      fc.property(arbitraryServerFrame, (frame) => {
        expect(guardMessagePack(messagePackCodec.encodeServerFrame(frame))).toEqual({ ok: true })
      }),
    )
  })

  it('[F8] what it passes, the decoder reads; any bytes get an answer', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        if (guardMessagePack(bytes).ok) unpack(Buffer.from(bytes))
      }),
      { numRuns: 20_000 },
    )
  })
})
