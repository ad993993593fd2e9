import { parseId } from './ids.ts'

/**
 * MurmurHash2, 32 bits, seed 0x9747b28c: the hash of Kafka's default partitioner
 * (org.apache.kafka.common.utils.Utils.murmur2), so that other Kafka clients place a conversation alike.
 * Returns a signed 32-bit integer.
 */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length
  const m = 0x5bd1e995
  let h = 0x9747b28c ^ length
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  const words = length >> 2
  for (let i = 0; i < words; i++) {
    let k = Math.imul(view.getInt32(i * 4, true), m)
    k ^= k >>> 24
    h = Math.imul(h, m) ^ Math.imul(k, m)
  }
  const tail = words * 4
  if (tail < length) {
    for (let i = length - 1; i >= tail; i--) h ^= (bytes[i] as number) << (8 * (i - tail))
    h = Math.imul(h, m)
  }
  h ^= h >>> 13
  h = Math.imul(h, m)
  return h ^ (h >>> 15)
}

/** [R1] The partition of a conversation, over the id's 16 bytes, as Kafka does it: `(hash & 0x7fffffff) mod P`. */
export function partitionOf(conversation: string, partitions: number): number {
  return (murmur2(parseId(conversation)) & 0x7fffffff) % partitions
}
