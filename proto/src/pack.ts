import { Packr } from 'msgpackr'

/**
 * MessagePack for what Parley itself wrote (log records, stored bodies, fan-out). Bytes from outside go through
 * `msgpack-guard.ts` first: without it a decoder builds records, references and extensions that a stranger chose.
 */
const packr = new Packr({
  useRecords: false,
  int64AsType: 'number',
  encodeUndefinedAsNil: true,
  variableMapSize: true,
})

export function pack(value: unknown): Buffer {
  return packr.pack(value)
}

export function unpack(bytes: Uint8Array): unknown {
  return packr.unpack(bytes)
}
