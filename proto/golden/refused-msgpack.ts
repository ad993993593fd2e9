import { parseId } from '../src/ids.ts'
import { digitsOf, hex, msgpack, type Refused } from './form.ts'
import { ids } from './frames.ts'

const { group, direct, message } = ids
const [msg, conv] = [parseId(message), parseId(group)]

/** MessagePack that is refused, with what is answered. */
export const refusedMsgpack: Refused[] = [
  { ...msgpack('msgpack-empty', new Uint8Array(), 'no bytes'), code: 'bad_frame' },
  {
    ...msgpack('msgpack-cut', hex('92 0a a5 7231'), 'a string longer than the bytes'),
    code: 'bad_frame',
  },
  { ...msgpack('msgpack-trailing', hex('91 0a 00'), 'bytes follow'), code: 'bad_frame' },
  { ...msgpack('msgpack-two', hex('91 0a 91 0a'), 'more than one value'), code: 'bad_frame' },
  { ...msgpack('msgpack-map', { type: 'ping' }, 'no array'), code: 'bad_frame' },
  { ...msgpack('msgpack-integer', hex('0a'), 'no array'), code: 'bad_frame' },
  { ...msgpack('msgpack-empty-array', [], 'a message of none'), code: 'bad_frame' },
  { ...msgpack('msgpack-empty-frame', [[10], []], 'a frame without a type'), code: 'bad_frame' },
  { ...msgpack('msgpack-type-name', ['ping'], 'a type that is no integer'), code: 'bad_frame' },
  { ...msgpack('msgpack-type-fraction', [10.5], 'a type that is no integer'), code: 'bad_frame' },
  { ...msgpack('msgpack-batch-in-batch', [[[10]]], 'a batch in a batch'), code: 'bad_frame' },
  { ...msgpack('msgpack-batch-mixed', [[10], 10], 'one entry is no frame'), code: 'bad_frame' },
  {
    ...msgpack('msgpack-65-frames', new Array(65).fill([10]), 'more than 64 frames'),
    code: 'bad_frame',
  },
  {
    ...msgpack('msgpack-17-levels', hex(`93 0a c0 ${'91'.repeat(15)} 90`), 'nested deeper than 16'),
    code: 'bad_frame',
  },
  {
    ...msgpack('msgpack-1000-levels', hex(`${'91'.repeat(999)} 90`), 'nested deeper than 16'),
    code: 'bad_frame',
  },
  { ...msgpack('msgpack-fixext', hex('92 0a d4 01 00'), 'an extension'), code: 'bad_frame' },
  { ...msgpack('msgpack-ext8', hex('92 0a c7 01 05 00'), 'an extension'), code: 'bad_frame' },
  {
    ...msgpack('msgpack-timestamp', hex('92 0a d6 ff 00000000'), 'a timestamp'),
    code: 'bad_frame',
  },
  {
    ...msgpack('msgpack-record', hex('92 0a d4 72 40 91 a1 61'), 'an encoder’s record extension'),
    code: 'bad_frame',
  },
  { ...msgpack('msgpack-c1', hex('92 0a c1'), 'the byte that is never used'), code: 'bad_frame' },
  {
    ...msgpack('msgpack-huge-array', hex('dd ffffffff 0a'), 'an array longer than the bytes'),
    code: 'bad_frame',
  },
  {
    ...msgpack(
      'msgpack-huge-binary',
      hex('92 0a c6 7fffffff 00'),
      'a binary longer than the bytes',
    ),
    code: 'bad_frame',
  },
  { ...msgpack('msgpack-utf8', hex('92 0a a1 ff'), 'no UTF-8'), code: 'bad_frame' },
  {
    ...msgpack('msgpack-surrogate', hex('92 0a a3 eda0bd'), 'a surrogate in UTF-8'),
    code: 'bad_frame',
  },
  {
    ...msgpack('msgpack-integer-key', hex('93 0a c0 81 01 02'), 'a key that is no string'),
    code: 'bad_frame',
  },
  {
    ...msgpack(
      'msgpack-many-values',
      [10, null, new Array(20_000).fill(0)],
      'more than 16,384 values',
    ),
    code: 'bad_frame',
  },
  { ...msgpack('msgpack-unknown-code', [99, 'r1'], 'no such type code'), code: 'unsupported' },
  {
    ...msgpack('msgpack-server-code', [76, 'r1', 1], 'a type code that only the server sends'),
    code: 'unsupported',
  },
  { ...msgpack('msgpack-negative-code', [-1], 'no such type code'), code: 'unsupported' },
  {
    ...msgpack('msgpack-missing', [2, null, conv, { text: 'hi' }], 'a field is missing'),
    code: 'invalid',
    type: 'send',
  },
  {
    ...msgpack('msgpack-id-string', [2, message, conv, { text: 'hi' }], 'an id is a binary'),
    code: 'invalid',
    type: 'send',
  },
  {
    ...msgpack(
      'msgpack-id-short',
      [2, msg.subarray(1), conv, { text: 'hi' }],
      'an id has 16 bytes',
    ),
    code: 'invalid',
    type: 'send',
  },
  {
    ...msgpack(
      'msgpack-id-version',
      [2, parseId(direct), conv, { text: 'hi' }],
      'a client’s ids are of version 7',
    ),
    code: 'invalid',
    type: 'send',
    id: direct,
  },
  {
    ...msgpack(
      'msgpack-id-nil',
      [2, msg, new Uint8Array(16), { text: 'hi' }],
      '16 bytes that are no UUID',
    ),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...msgpack(
      'msgpack-id-in-body',
      [2, msg, conv, { text: 'hi', replyTo: msg }],
      'ids within a map are strings',
    ),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...msgpack('msgpack-body-array', [2, msg, conv, ['hi']], 'a body is a map'),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...msgpack('msgpack-boolean', [2, msg, conv, { text: 'hi' }, 1], '1 is not true'),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...msgpack(
      'msgpack-above-2-53',
      hex(`94 08 a27233 c410${digitsOf(group)} cf0020000000000000`),
      'above 2^53−1',
    ),
    code: 'invalid',
    type: 'sync',
    ref: 'r3',
  },
  {
    ...msgpack('msgpack-negative', [8, 'r3', conv, -1], 'below 0'),
    code: 'invalid',
    type: 'sync',
    ref: 'r3',
  },
  {
    ...msgpack('msgpack-fraction', [8, 'r3', conv, 1.5], 'no integer'),
    code: 'invalid',
    type: 'sync',
    ref: 'r3',
  },
  {
    ...msgpack(
      'msgpack-nan',
      hex(`94 08 a27233 c410${digitsOf(group)} cb7ff8000000000000`),
      'no integer',
    ),
    code: 'invalid',
    type: 'sync',
    ref: 'r3',
  },
  {
    ...msgpack('msgpack-resume-map', [1, 't', 'd', { [group]: 1 }], 'resume is a list of pairs'),
    code: 'invalid',
    type: 'hello',
  },
  {
    ...msgpack(
      'msgpack-large-body',
      [2, msg, conv, { text: '漢'.repeat(5_500) }],
      'over 16 KiB as MessagePack',
    ),
    code: 'too_large',
    type: 'send',
    id: message,
  },
]
