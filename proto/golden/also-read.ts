import { parseId } from '../src/ids.ts'
import { type AlsoRead, digitsOf, hex, json, msgpack } from './form.ts'
import { ids } from './frames.ts'

const { ada, group, direct, message } = ids
const [msg, conv] = [parseId(message), parseId(group)]

const sendText = `"type":"send","id":"${message}","conversation":"${group}","body":{"text":"hi"}`

/** Forms that are read like a golden frame. */
export const alsoRead: AlsoRead[] = [
  {
    ...json('json-spaces', `\n { ${sendText} }\t`, 'whitespace around and within'),
    sameAs: ['send-least'],
  },
  {
    ...json('json-batch-of-one', `[{${sendText}}]`, 'a batch of one frame'),
    sameAs: ['send-least'],
  },
  {
    ...json('json-batch', `[{"type":"ping"},{${sendText}},{"type":"ping","ref":"r5"}]`, 'a batch'),
    sameAs: ['ping-least', 'send-least', 'ping'],
  },
  {
    ...json('json-null', `{${sendText},"retry":null}`, 'null is absent'),
    sameAs: ['send-least'],
  },
  {
    ...json(
      'json-unknown-fields',
      `{"colour":"red",${sendText},"deep":{"a":[[[[[[[[[[[[[[]]]]]]]]]]]]]]},"__proto__":{"retry":true},"constructor":{"prototype":1}}`,
      'unknown fields are ignored, up to 16 levels, whatever they are called',
    ),
    sameAs: ['send-least'],
  },
  {
    ...json(
      'json-duplicate-keys',
      `{"type":"ping","ref":"r4",${sendText}}`,
      'the last of two keys counts',
    ),
    sameAs: ['send-least'],
  },
  {
    ...json(
      'json-numbers',
      `{"type":"read","conversation":"${group}","seq":7.0e4,"ref":"r1"}`,
      'an integer by value, however written',
    ),
    sameAs: ['read'],
  },
  {
    ...json(
      'json-negative-zero',
      `{"type":"sync","ref":"","conversation":"${direct}","after":-0}`,
      '−0 is 0',
    ),
    sameAs: ['sync-least'],
  },
  {
    ...json(
      'json-empty-parts',
      `{"type":"send","id":"${message}","conversation":"${group}","body":{"mentions":[],"text":"hi","replyTo":null,"mood":"good"}}`,
      'what is empty or unknown in a body is left out',
    ),
    sameAs: ['send-least'],
  },
  {
    ...json(
      'json-repeated-ids',
      `{"type":"watch","users":["${ada}","${ids.bob}","${ada}"],"ref":"r4"}`,
      'a list of ids is a set',
    ),
    sameAs: ['watch'],
  },
  {
    ...msgpack('msgpack-nils', [2, msg, conv, { text: 'hi' }, null], 'trailing nils may be there'),
    sameAs: ['send-least'],
  },
  {
    ...msgpack(
      'msgpack-more-elements',
      [2, msg, conv, { text: 'hi' }, null, 'new', { in: 'v2' }],
      'elements past the known ones are ignored',
    ),
    sameAs: ['send-least'],
  },
  { ...msgpack('msgpack-batch-of-one', [[10]], 'a batch of one frame'), sameAs: ['ping-least'] },
  {
    ...msgpack('msgpack-batch', [[10], [2, msg, conv, { text: 'hi' }], [10, 'r5']], 'a batch'),
    sameAs: ['ping-least', 'send-least', 'ping'],
  },
  {
    ...msgpack(
      'msgpack-long-headers',
      hex(`dd00000003 d10006 c60000001 0${digitsOf(group)} d3 0000000000000001`),
      'the longest formats, for a code, a length, a seq',
    ),
    sameAs: ['read-least'],
  },
  {
    ...msgpack(
      'msgpack-float64',
      hex(`94 cb4018000000000000 c410${digitsOf(group)} cb40f1170000000000 a27231`),
      'integral float64, for a code and a seq',
    ),
    sameAs: ['read'],
  },
  {
    ...msgpack(
      'msgpack-negative-zero',
      hex(`94 08 a0 c410${digitsOf(direct)} cb8000000000000000`),
      '−0 is 0',
    ),
    sameAs: ['sync-least'],
  },
  {
    ...msgpack(
      'msgpack-body-keys',
      hex(
        `94 02 c410${digitsOf(message)} c410${digitsOf(group)} 84 a9${Buffer.from('__proto__').toString('hex')} 81 a474657874 a26e6f a474657874 a26e6f a474657874 a26869 a46d6f6f64 93 01 02 03`,
      ),
      'unknown keys are ignored, the last of two counts',
    ),
    sameAs: ['send-least'],
  },
]
