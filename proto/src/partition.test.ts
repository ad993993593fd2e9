import { describe, expect, it } from 'vitest'
import { murmur2, partitionOf } from './partition.ts'

describe('partition', () => {
  it('[R1] [N9] murmur2 gives the values of Kafka’s own tests', () => {
    // org.apache.kafka.common.utils.UtilsTest, testMurmur2
    const vectors: [string, number][] = [
      ['21', -973_932_308],
      ['foobar', -790_332_482],
      ['a-little-bit-long-string', -985_981_536],
      ['a-little-bit-longer-string', -1_486_304_829],
      ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58_897_971],
      ['abc', 479_470_107],
      ['', 275_646_681],
    ]
    for (const [text, hash] of vectors) expect(murmur2(Buffer.from(text)), text).toBe(hash)
  })

  it('[R1] [N9] murmur2 reads bytes that begin anywhere in a buffer', () => {
    const buffer = Buffer.from('.foobar')
    expect(murmur2(buffer.subarray(1))).toBe(-790_332_482)
  })

  it('[R1] [N9] conversations go where an independent program puts them', () => {
    const vectors: [string, number, number, number][] = [
      // id, of 4, of 12, of 48
      ['01980c36-4d2e-7a61-9c3b-2f6f0c1d7e55', 3, 3, 3],
      ['01980c36-51aa-7d04-8f2e-6b0a94c3d218', 0, 0, 36],
      ['01980c37-0b7c-7f5d-a1c4-93e8d5b62f07', 3, 11, 47],
      ['ffffffff-ffff-7fff-bfff-ffffffffffff', 0, 8, 8],
      ['00000000-0000-7000-8000-000000000000', 2, 6, 30],
      ['22b4c41b-1b7e-8c52-9750-407d9baafe99', 2, 6, 42],
    ]
    for (const [id, of4, of12, of48] of vectors) {
      expect(
        [4, 12, 48].map((count) => partitionOf(id, count)),
        id,
      ).toEqual([of4, of12, of48])
      expect(partitionOf(id, 1)).toBe(0)
    }
  })
})
