import { parseId } from '../src/ids.ts'
import { pack } from '../src/pack.ts'

/** Messages from clients that our own encoder never writes, for `also/` and `bad/`. */

export interface OtherForm {
  name: string
  subprotocol: 'json' | 'msgpack'
  bytes: Uint8Array
  says: string
}
export interface AlsoRead extends OtherForm {
  /** Names of the golden client frames that the message holds. */
  sameAs: string[]
}
export interface Refused extends OtherForm {
  code: 'bad_frame' | 'unsupported' | 'invalid' | 'too_large'
  type?: string
  id?: string
  ref?: string
}

/** Spaces are for the eye. */
export const hex = (digits: string) => Buffer.from(digits.replaceAll(' ', ''), 'hex')
/** The 32 digits of an id. */
export const digitsOf = (id: string) => Buffer.from(parseId(id)).toString('hex')

export const json = (name: string, bytes: string | Uint8Array, says: string) => ({
  name,
  subprotocol: 'json' as const,
  bytes: typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes,
  says,
})

/** Of bytes, or of a value that is packed. */
export const msgpack = (name: string, value: unknown, says: string) => ({
  name,
  subprotocol: 'msgpack' as const,
  bytes: value instanceof Uint8Array ? value : pack(value),
  says,
})
