import { parseId } from '@parley/proto/ids'

/** How the generator and the floor find frames in a message without decoding it: type code, then an id of 16 bytes. */

/** `[65, id, …]`: the id of an ack follows these bytes. */
export const ackMark = Buffer.from([0x41, 0xc4, 0x10])

/** `[67, conversation, …]`, eight elements: the whole beginning of a conversation's messages. */
export function eventMark(conversation: string): Buffer {
  return Buffer.concat([Buffer.from([0x98, 0x43, 0xc4, 0x10]), parseId(conversation)])
}

export function countMarks(bytes: Buffer, mark: Buffer): number {
  let count = 0
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + mark.length)) count += 1
  return count
}
