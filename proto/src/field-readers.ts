/// <reference lib="es2024.string" />
import type { Field, FieldKind } from './field-types.ts'
import { formatId, idVersion, isId } from './ids.ts'
import { pack } from './pack.ts'

/**
 * From what a decoder built to what programs see: each kind of field has one reader, which takes what the wire may
 * say and answers with the value, or with why not.
 */

/** JSON: ids as strings, maps as objects. Packed: a frame's own ids as 16 bytes, its maps as arrays of pairs. */
export type Form = 'json' | 'packed'

/** Why a field was refused: `path` is what stands behind the field's name, e.g. `.text` or `[3]`. */
export class Refusal {
  readonly code: 'invalid' | 'too_large'
  readonly reason: string
  readonly path: string
  constructor(code: 'invalid' | 'too_large', reason: string, path = '') {
    this.code = code
    this.reason = reason
    this.path = path
  }
  under(prefix: string): Refusal {
    return new Refusal(this.code, this.reason, prefix + this.path)
  }
}

/** `frame` holds the fields read so far. */
export type Reader = (value: unknown, frame: Readonly<Record<string, unknown>>) => unknown
/** Reads one `event` frame within another. */
export type EventReader = (value: unknown) => unknown

const absent = new Refusal('invalid', 'is missing')

/** What every reader here refuses is `invalid`, except a body that is `too_large`. */
export function readerOf(type: FieldKind, form: Form, readEvent: EventReader): Reader {
  switch (type.kind) {
    case 'string':
      return stringReader(type.min, type.max)
    case 'text':
      return textReader(type.max)
    case 'id':
      return idReader(form, type.version)
    case 'ids':
      return idsReader(form, type.max)
    case 'seqs':
      return form === 'json' ? seqObjectReader(type.max) : seqPairsReader(type.max)
    case 'integer':
      return integerReader(type.min, type.max)
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? value : notBoolean)
    case 'choice':
      return choiceReader(type.of)
    case 'record':
      return recordReader(type.fields)
    case 'records':
      return listReader(type.max, recordReader(type.fields))
    case 'messageBody':
      return messageBodyReader(type.fields, type.maxBytes)
    case 'eventBody':
      return eventBodyReader(type.byKind)
    case 'events':
      return listReader(type.max, readEvent)
    case 'data':
      return (value) => (isRecord(value) ? plain(value) : notMap)
  }
}

const notBoolean = new Refusal('invalid', 'must be true or false')
const notMap = new Refusal('invalid', 'must be a map')
const illFormed = new Refusal('invalid', 'holds half a surrogate pair')

export function isRecord(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  )
}

function stringReader(min: number, max: number): Reader {
  const refusal = new Refusal('invalid', `must be a string of ${min} to ${max} characters`)
  return (value) => {
    if (typeof value !== 'string' || value.length < min || !fits(value, max)) return refusal
    return value.isWellFormed() ? value : illFormed
  }
}

/** At most `max` code points; a code point takes one or two code units. */
function fits(value: string, max: number): boolean {
  if (value.length <= max) return true
  if (value.length > 2 * max) return false
  let points = 0
  for (const _ of value) points += 1
  return points <= max
}

function textReader(max: number): Reader {
  const refusal = new Refusal('invalid', `must be a string of up to ${max} UTF-16 code units`)
  return (value) => {
    if (typeof value !== 'string' || value.length > max) return refusal
    return value.isWellFormed() ? value : illFormed
  }
}

function idReader(form: Form, version: number | undefined): Reader {
  const read = form === 'json' ? readIdString : readIdBytes
  if (version === undefined) return read
  const refusal = new Refusal('invalid', `must be a UUID of version ${version}`)
  return (value) => {
    const id = read(value)
    return typeof id === 'string' && idVersion(id) !== version ? refusal : id
  }
}

const notIdString = new Refusal('invalid', 'must be a UUID in lower case')
const notIdBytes = new Refusal('invalid', 'must be a UUID as a binary of 16 bytes')

function readIdString(value: unknown): string | Refusal {
  return isId(value) ? value : notIdString
}

function readIdBytes(value: unknown): string | Refusal {
  if (!(value instanceof Uint8Array) || value.length !== 16) return notIdBytes
  const version = (value[6] as number) >> 4
  const variant = (value[8] as number) >> 6
  return version >= 1 && version <= 8 && variant === 2 ? formatId(value) : notIdBytes
}

/** An id or ref that is fine by itself, for the answer to a frame that is not. */
export function readIdIfFine(value: unknown, form: Form): string | undefined {
  const id = form === 'json' ? readIdString(value) : readIdBytes(value)
  return typeof id === 'string' ? id : undefined
}

/** A set: what is named twice counts once, in the place of the first. */
function idsReader(form: Form, max: number): Reader {
  const list = listReader(max, idReader(form, undefined))
  return (value, frame) => {
    const read = list(value, frame)
    if (read instanceof Refusal) return read
    const ids = read as string[]
    return ids.length < 2 ? ids : [...new Set(ids)]
  }
}

function listReader(max: number, readOne: Reader): Reader {
  const refusal = new Refusal('invalid', `must be a list of up to ${max} entries`)
  return (value, frame) => {
    if (!Array.isArray(value) || value.length > max) return refusal
    const list = new Array<unknown>(value.length)
    for (let i = 0; i < value.length; i++) {
      const one = readOne(value[i], frame)
      if (one instanceof Refusal) return one.under(`[${i}]`)
      list[i] = one
    }
    return list
  }
}

function integerReader(min: number, max: number): Reader {
  const refusal = new Refusal('invalid', `must be an integer from ${min} to ${max}`)
  return (value) =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
      ? (value as number) + 0 // −0 becomes 0
      : refusal
}

function choiceReader(of: readonly string[]): Reader {
  const refusal = new Refusal('invalid', `must be one of ${of.join(', ')}`)
  return (value) => (of.includes(value as string) ? value : refusal)
}

const readSeq = integerReader(0, Number.MAX_SAFE_INTEGER)

function seqObjectReader(max: number): Reader {
  const tooMany = new Refusal('invalid', `must name at most ${max} conversations`)
  return (value, frame) => {
    if (!isRecord(value)) return notMap
    const keys = Object.keys(value)
    if (keys.length > max) return tooMany
    const seqs: Record<string, number> = {}
    for (const key of keys) {
      if (!isId(key)) return new Refusal('invalid', 'has a key that is no UUID in lower case')
      const seq = readSeq(value[key], frame)
      if (seq instanceof Refusal) return seq.under(`.${key}`)
      seqs[key] = seq as number
    }
    return seqs
  }
}

function seqPairsReader(max: number): Reader {
  const notPairs = new Refusal('invalid', `must be a list of up to ${max} [id, seq] pairs`)
  return (value, frame) => {
    if (!Array.isArray(value) || value.length > max) return notPairs
    const seqs: Record<string, number> = {}
    for (let i = 0; i < value.length; i++) {
      const pair: unknown = value[i]
      if (!Array.isArray(pair)) return notPairs.under(`[${i}]`)
      const id = readIdBytes(pair[0])
      if (id instanceof Refusal) return id.under(`[${i}][0]`)
      const seq = readSeq(pair[1], frame)
      if (seq instanceof Refusal) return seq.under(`[${i}][1]`)
      seqs[id] = seq as number
    }
    return seqs
  }
}

/** A record has the same form in both codecs. */
function recordReader(fields: readonly Field[]): Reader {
  const readers = fields.map((field) => ({
    ...field,
    read: readerOf(field.type, 'json', () => notMap),
  }))
  return (value, frame) => {
    if (!isRecord(value)) return notMap
    const read: Record<string, unknown> = {}
    for (const field of readers) {
      const given = value[field.name]
      if (given === null || given === undefined) {
        if (!field.optional) return absent.under(`.${field.name}`)
        continue
      }
      const one = field.read(given, frame)
      if (one instanceof Refusal) return one.under(`.${field.name}`)
      read[field.name] = one
    }
    return read
  }
}

/** Bytes of MessagePack that a body takes besides its texts and ids: the map's header, keys, and lengths. */
const bodyFrameBytes = 64
/** One id in a body: two bytes of header, 36 characters. */
const idStringBytes = 38

/**
 * Leaves out what is empty, so that equal bodies have equal bytes; refuses a body that says nothing, and one whose
 * MessagePack is over `maxBytes`.
 */
function messageBodyReader(fields: readonly Field[], maxBytes: number): Reader {
  const readRecord = recordReader(fields)
  const nothing = new Refusal('invalid', 'must have a text or attachments')
  const tooLarge = new Refusal('too_large', `takes more than ${maxBytes} bytes`)
  return (value, frame) => {
    const read = readRecord(value, frame)
    if (read instanceof Refusal) return read
    const body = read as {
      text?: string
      replyTo?: string
      mentions?: string[]
      attachments?: string[]
    }
    if (body.text === '') delete body.text
    if (body.mentions?.length === 0) delete body.mentions
    if (body.attachments?.length === 0) delete body.attachments
    if (body.text === undefined && body.attachments === undefined) return nothing
    const ids = 1 + (body.mentions?.length ?? 0) + (body.attachments?.length ?? 0)
    const atMost = bodyFrameBytes + ids * idStringBytes + 3 * (body.text?.length ?? 0)
    return atMost > maxBytes && pack(body).length > maxBytes ? tooLarge : body
  }
}

function eventBodyReader(byKind: Readonly<Record<string, FieldKind | null>>): Reader {
  const none = new Refusal('invalid', 'has no place in an event of this kind')
  const readers = new Map(
    Object.entries(byKind).map(([kind, type]) => [
      kind,
      type === null ? () => none : readerOf(type, 'json', () => notMap),
    ]),
  )
  return (value, frame) => (readers.get(frame.kind as string) ?? (() => none))(value, frame)
}

/** A copy without `__proto__` keys, which an assignment elsewhere could turn into a prototype. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (!isRecord(value)) return value
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(value)) {
    if (key !== '__proto__') copy[key] = plain(value[key])
  }
  return copy
}
