import { hex, json, type Refused } from './form.ts'
import { ids } from './frames.ts'

const { ada, group, direct, message, second } = ids
const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
const send = (over: object) => ({
  type: 'send',
  id: message,
  conversation: group,
  body: { text: 'hi' },
  ...over,
})
const text = (value: unknown) => JSON.stringify(value)

/** JSON that is refused, with what is answered. */
export const refusedJson: Refused[] = [
  { ...json('json-empty', '', 'no bytes'), code: 'bad_frame' },
  { ...json('json-cut', '{"type":"ping"', 'no JSON'), code: 'bad_frame' },
  {
    ...json('json-two', '{"type":"ping"}{"type":"ping"}', 'more than one value'),
    code: 'bad_frame',
  },
  { ...json('json-string', '"ping"', 'no object or array'), code: 'bad_frame' },
  { ...json('json-null', 'null', 'no object or array'), code: 'bad_frame' },
  { ...json('json-no-type', '{"ref":"r1"}', 'no type'), code: 'bad_frame' },
  { ...json('json-type-number', '{"type":10}', 'a type that is no string'), code: 'bad_frame' },
  { ...json('json-empty-batch', '[]', 'a batch of none'), code: 'bad_frame' },
  {
    ...json('json-batch-in-batch', '[[{"type":"ping"}]]', 'a batch in a batch'),
    code: 'bad_frame',
  },
  {
    ...json('json-batch-mixed', '[{"type":"ping"},7]', 'one entry is no frame'),
    code: 'bad_frame',
  },
  {
    ...json('json-65-frames', text(new Array(65).fill({ type: 'ping' })), 'more than 64 frames'),
    code: 'bad_frame',
  },
  {
    ...json('json-17-levels', `{"type":"ping","x":${nested(16)}}`, 'nested deeper than 16'),
    code: 'bad_frame',
  },
  { ...json('json-1000-levels', nested(1000), 'nested deeper than 16'), code: 'bad_frame' },
  {
    ...json('json-utf8', hex('7b2274797065223a2270696e67222c22726566223a22ff227d'), 'no UTF-8'),
    code: 'bad_frame',
  },
  {
    ...json('json-bom', hex('efbbbf7b2274797065223a2270696e67227d'), 'a byte order mark'),
    code: 'bad_frame',
  },
  {
    ...json(
      'json-many-values',
      `{"type":"ping","x":[${'0,'.repeat(20_000)}0]}`,
      'more than 16,384 values',
    ),
    code: 'bad_frame',
  },
  {
    ...json('json-unknown-type', `{"type":"dance","id":"${message}","ref":"r1"}`, 'no such type'),
    code: 'unsupported',
    id: message,
    ref: 'r1',
  },
  {
    ...json('json-server-type', '{"type":"pong","time":1}', 'a type that only the server sends'),
    code: 'unsupported',
  },
  {
    ...json('json-constructor-type', '{"type":"constructor"}', 'no such type'),
    code: 'unsupported',
  },
  {
    ...json(
      'json-missing',
      `{"type":"send","conversation":"${group}","body":{"text":"hi"}}`,
      'a field is missing',
    ),
    code: 'invalid',
    type: 'send',
  },
  {
    ...json(
      'json-number-as-string',
      `{"type":"sync","ref":"r3","conversation":"${group}","after":"5"}`,
      'a string is no number',
    ),
    code: 'invalid',
    type: 'sync',
    ref: 'r3',
  },
  {
    ...json(
      'json-negative',
      `{"type":"sync","ref":"r3","conversation":"${group}","after":-1}`,
      'below 0',
    ),
    code: 'invalid',
    type: 'sync',
    ref: 'r3',
  },
  {
    ...json(
      'json-fraction',
      `{"type":"sync","ref":"r3","conversation":"${group}","after":1.5}`,
      'no integer',
    ),
    code: 'invalid',
    type: 'sync',
    ref: 'r3',
  },
  {
    ...json(
      'json-above-2-53',
      `{"type":"sync","ref":"r3","conversation":"${group}","after":9007199254740992}`,
      'above 2^53−1',
    ),
    code: 'invalid',
    type: 'sync',
    ref: 'r3',
  },
  {
    ...json(
      'json-limit',
      `{"type":"sync","ref":"r3","conversation":"${group}","after":0,"limit":501}`,
      'above 500',
    ),
    code: 'invalid',
    type: 'sync',
    ref: 'r3',
  },
  {
    ...json('json-boolean', text(send({ retry: 1 })), '1 is not true'),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...json(
      'json-upper-case-id',
      text(send({ conversation: group.toUpperCase() })),
      'ids are in lower case',
    ),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...json('json-id-version', text(send({ id: direct })), 'a client’s ids are of version 7'),
    code: 'invalid',
    type: 'send',
    id: direct,
  },
  {
    ...json('json-id-none', text(send({ id: 'mine' })), 'no UUID; it is not given back'),
    code: 'invalid',
    type: 'send',
  },
  {
    ...json(
      'json-surrogate',
      `{"type":"send","id":"${message}","conversation":"${group}","body":{"text":"\\ud83d"}}`,
      'half a surrogate pair',
    ),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...json('json-empty-body', text(send({ body: {} })), 'nothing in it'),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...json(
      'json-only-mentions',
      text(send({ body: { mentions: [ada], replyTo: second } })),
      'no text and no attachments',
    ),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...json(
      'json-long-text',
      text(send({ body: { text: 'a'.repeat(8_001) } })),
      'over 8,000 UTF-16 code units',
    ),
    code: 'invalid',
    type: 'send',
    id: message,
  },
  {
    ...json(
      'json-large-body',
      text(send({ body: { text: '漢'.repeat(5_500) } })),
      'over 16 KiB as MessagePack',
    ),
    code: 'too_large',
    type: 'send',
    id: message,
  },
  {
    ...json('json-long-ref', `{"type":"ping","ref":"${'r'.repeat(65)}"}`, 'over 64 characters'),
    code: 'invalid',
    type: 'ping',
  },
  {
    ...json(
      'json-resume-key',
      `{"type":"hello","token":"t","device":"d","resume":{"__proto__":1}}`,
      'a key that is no id',
    ),
    code: 'invalid',
    type: 'hello',
  },
]
