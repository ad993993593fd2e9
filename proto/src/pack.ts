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

/**
 * An integer so that `pack` writes it in an integer's format: by itself it writes those above 32 bits as float64,
 * which decoders of typed languages refuse to put into an integer.
 */
export function whole(value: number): number | bigint {
  return value > 0xffff_ffff ? BigInt(value) : value
}

/*
 * msgpackr 2.1.3 reads strings of more than 64 bytes with its native part; without that it loses a U+FEFF at their
 * beginning, and what was stored would no longer be what was sent. Better not to start.
 */
const probe = `\ufeff${'-'.repeat(64)}`
if (unpack(pack(probe)) !== probe) {
  throw new Error(
    'The native part of msgpackr is missing: install without --omit=optional and unset MSGPACKR_NATIVE_ACCELERATION_DISABLED.',
  )
}
