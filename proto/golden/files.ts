import { codecFor } from '../src/codec.ts'
import { alsoRead } from './also-read.ts'
import type { OtherForm } from './form.ts'
import { clientGolden, serverGolden } from './frames.ts'
import { refusedJson } from './refused-json.ts'
import { refusedMsgpack } from './refused-msgpack.ts'

export const refused = [...refusedJson, ...refusedMsgpack]

/** Every file of this folder that holds bytes, and the index, by its path: what `write.ts` writes and tests compare. */
export function goldenFiles(): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>()
  const codecs = [codecFor('parley.v1.json'), codecFor('parley.v1.msgpack')]
  for (const codec of codecs) {
    const form = codec.binary ? 'msgpack' : 'json'
    for (const [name, frame] of Object.entries(clientGolden)) {
      put(files, `client/${name}`, form, codec.encodeClientFrame(frame))
    }
    for (const [name, frame] of Object.entries(serverGolden)) {
      put(files, `server/${name}`, form, codec.encodeServerFrame(frame))
    }
  }
  for (const one of alsoRead) put(files, `also/${one.name}`, one.subprotocol, one.bytes)
  for (const one of refused) put(files, `bad/${one.name}`, one.subprotocol, one.bytes)
  files.set('index.json', Buffer.from(`${JSON.stringify(index(), null, 2)}\n`))
  return files
}

/** JSON as it is; MessagePack, and JSON that is no text, as one line of hexadecimal. */
function put(
  files: Map<string, Uint8Array>,
  name: string,
  form: 'json' | 'msgpack',
  bytes: Uint8Array,
) {
  const path = pathOf(name, form, bytes)
  files.set(
    path,
    path.endsWith('.hex') ? Buffer.from(`${Buffer.from(bytes).toString('hex')}\n`) : bytes,
  )
}

function pathOf(name: string, form: 'json' | 'msgpack', bytes: Uint8Array): string {
  if (form === 'msgpack') return `${name}.msgpack.hex`
  const text = Buffer.from(bytes).toString('utf8')
  const isText = Buffer.from(text).equals(bytes) && !text.startsWith('\ufeff')
  return isText ? `${name}.json` : `${name}.json.hex`
}

function index() {
  const fileOf = (folder: string, one: OtherForm) =>
    pathOf(`${folder}/${one.name}`, one.subprotocol, one.bytes)
  return {
    client: Object.entries(clientGolden).map(([name, { type }]) => ({ name, type })),
    server: Object.entries(serverGolden).map(([name, { type }]) => ({ name, type })),
    also: alsoRead.map((one) => ({
      file: fileOf('also', one),
      sameAs: one.sameAs,
      says: one.says,
    })),
    bad: refused.map((one) => {
      const { bytes: _bytes, subprotocol: _subprotocol, name: _name, says, ...answer } = one
      return { file: fileOf('bad', one), ...answer, says }
    }),
  }
}
