import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodeOffset, encodeOffset, nameKey, offsetKey, offsetOfKey } from './keys.ts'
import { decodeRecord, encodeRecord, partitionSeed, seal } from './record-format.ts'

const epoch = '0190a1b2-0000-7000-8000-000000000000'
const offsets = fc.maxSafeNat()
const names = fc.string({ unit: 'binary', minLength: 1, maxLength: 30 })

function stored(headers: { schema: string; epoch: string }, value: Uint8Array, offset: number) {
  const bytes = encodeRecord(headers, value)
  const seed = partitionSeed('topic', 3)
  const key = offsetKey(offset)
  seal(bytes, seed, key)
  return { bytes, seed, key }
}

it('a record comes back as it was', () => {
  fc.assert(
    fc.property(names, fc.uint8Array({ maxLength: 500 }), offsets, (schema, value, offset) => {
      const { bytes, seed, key } = stored({ schema, epoch }, value, offset)
      const record = decodeRecord(bytes, seed, key)
      expect(record).toEqual({ headers: { schema, epoch }, value: Buffer.from(value) })
    }),
  )
})

it('a change of any byte is noticed', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 100 }),
      offsets,
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (value, offset, place, difference) => {
        const { bytes, seed, key } = stored({ schema: '1', epoch }, value, offset)
        const at = place % bytes.length
        bytes[at] = (bytes[at] as number) ^ difference
        expect(decodeRecord(bytes, seed, key)).toMatch(/checksum|format/)
      },
    ),
  )
})

it('a whole record in another’s place, or cut off, is noticed', () => {
  const { bytes, seed, key } = stored({ schema: '1', epoch }, Buffer.from('value'), 7)
  expect(decodeRecord(bytes, seed, offsetKey(8))).toMatch(/checksum/)
  expect(decodeRecord(bytes, partitionSeed('topic', 4), key)).toMatch(/checksum/)
  expect(decodeRecord(bytes.subarray(0, -1), seed, key)).toMatch(/checksum/)
  expect(decodeRecord(bytes.subarray(0, 5), seed, key)).toMatch(/cut off/)
})

it('offsets sort as their keys do and come back', () => {
  fc.assert(
    fc.property(offsets, offsets, (one, other) => {
      expect(offsetOfKey(offsetKey(one))).toBe(one)
      const order = Math.sign(Buffer.compare(offsetKey(one), offsetKey(other)))
      expect(order).toBe(Math.sign(one - other))
    }),
  )
})

it('a stored offset comes back under its own key alone', () => {
  fc.assert(
    fc.property(offsets, (offset) => {
      const key = nameKey('group', 'topic', 1)
      const bytes = encodeOffset(key, offset)
      expect(decodeOffset(key, bytes)).toBe(offset)
      expect(decodeOffset(nameKey('group', 'topic', 2), bytes)).toBeNull()
      bytes[7] = (bytes[7] as number) ^ 1
      expect(decodeOffset(key, bytes)).toBeNull()
      expect(decodeOffset(key, bytes.subarray(0, 8))).toBeNull()
    }),
  )
})
