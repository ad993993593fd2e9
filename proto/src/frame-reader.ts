import type { Failure } from './errors.ts'
import {
  type Form,
  isRecord,
  type Reader,
  Refusal,
  readerOf,
  readIdIfFine,
} from './field-readers.ts'
import { clientFrames, eventRow, type FrameRow, serverFrames } from './frame-table.ts'
import { limits } from './limits.ts'

/**
 * A frame as it was read, or why it is refused; `id` and `ref` are given back where they could be read, so that
 * the sender knows which of its frames is meant.
 */
export type DecodedFrame<F> =
  | { ok: true; frame: F }
  | {
      ok: false
      code: 'invalid' | 'unsupported' | 'too_large'
      message: string
      type?: string
      id?: string
      ref?: string
    }

/** A failure is always `bad_frame` and stands for the whole message. */
export type DecodedMessage<F> = { ok: true; frames: DecodedFrame<F>[] } | Failure

interface FieldReader {
  readonly name: string
  readonly optional: boolean
  readonly read: Reader
}
interface FrameReader {
  readonly type: string
  readonly code: number
  readonly fields: readonly FieldReader[]
}

/** What one side may send, in one form. */
export interface FrameReaders {
  readonly form: Form
  readonly byType: ReadonlyMap<string, FrameReader>
  readonly byCode: ReadonlyMap<number, FrameReader>
}

function compile(rows: readonly FrameRow[], form: Form): FrameReaders {
  const readers = rows.map((row) => compileRow(row, form))
  return {
    form,
    byType: new Map(readers.map((reader) => [reader.type, reader])),
    byCode: new Map(readers.map((reader) => [reader.code, reader])),
  }
}

function compileRow(row: FrameRow, form: Form): FrameReader {
  const readEvent = form === 'json' ? readEventObject : readEventArray
  return {
    type: row.type,
    code: row.code,
    fields: row.fields.map(({ name, optional, type }) => ({
      name,
      optional,
      read: readerOf(type, form, readEvent),
    })),
  }
}

const notEvent = new Refusal('invalid', 'must be an event frame')
const eventReaders = { json: compileRow(eventRow, 'json'), packed: compileRow(eventRow, 'packed') }

function readEventObject(value: unknown): unknown {
  if (!isRecord(value) || value.type !== eventRow.type) return notEvent
  return readFields(eventReaders.json, value)
}

function readEventArray(value: unknown): unknown {
  if (!Array.isArray(value) || value[0] !== eventRow.code) return notEvent
  return readFields(eventReaders.packed, value)
}

export const readers = {
  client: { json: compile(clientFrames, 'json'), packed: compile(clientFrames, 'packed') },
  server: { json: compile(serverFrames, 'json'), packed: compile(serverFrames, 'packed') },
} as const

/** The frame, or a `Refusal` whose path begins with a dot and the field's name. */
function readFields(
  reader: FrameReader,
  source: Readonly<Record<string, unknown>> | readonly unknown[],
): Record<string, unknown> | Refusal {
  const frame: Record<string, unknown> = { type: reader.type }
  const { fields } = reader
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i] as FieldReader
    const given: unknown = Array.isArray(source)
      ? source[i + 1]
      : (source as Record<string, unknown>)[field.name]
    if (given === null || given === undefined) {
      if (!field.optional) return new Refusal('invalid', 'is missing', `.${field.name}`)
      continue
    }
    const value = field.read(given, frame)
    if (value instanceof Refusal) return value.under(`.${field.name}`)
    frame[field.name] = value
  }
  return frame
}

/** `source` is an object whose `type` is a string. */
export function readObjectFrame<F>(
  from: FrameReaders,
  source: Readonly<Record<string, unknown>>,
): DecodedFrame<F> {
  const reader = from.byType.get(source.type as string)
  if (reader === undefined) {
    return {
      ok: false,
      code: 'unsupported',
      message: 'no frame of this type may be sent here',
      ...named(source.id, source.ref, from.form),
    }
  }
  const frame = readFields(reader, source)
  if (!(frame instanceof Refusal)) return { ok: true, frame: frame as F }
  return refused(
    reader,
    frame,
    named(own(reader, 'id', source), own(reader, 'ref', source), 'json'),
  )
}

/** `source` is an array whose first element is an integer. */
export function readArrayFrame<F>(from: FrameReaders, source: readonly unknown[]): DecodedFrame<F> {
  const reader = from.byCode.get(source[0] as number)
  if (reader === undefined) {
    return {
      ok: false,
      code: 'unsupported',
      message: `no frame of type code ${source[0]} may be sent here`,
    }
  }
  const frame = readFields(reader, source)
  if (!(frame instanceof Refusal)) return { ok: true, frame: frame as F }
  return refused(
    reader,
    frame,
    named(source[placeOf(reader, 'id')], source[placeOf(reader, 'ref')], 'packed'),
  )
}

function refused(
  reader: FrameReader,
  refusal: Refusal,
  names: { id?: string; ref?: string },
): DecodedFrame<never> {
  const message = `${reader.type}: ${refusal.path.slice(1)} ${refusal.reason}`
  return { ok: false, code: refusal.code, message, type: reader.type, ...names }
}

function own(reader: FrameReader, name: string, source: Readonly<Record<string, unknown>>) {
  return reader.fields.some((field) => field.name === name) ? source[name] : undefined
}

/** The index of a field in a MessagePack frame; one past its end when the frame has none of that name. */
function placeOf(reader: FrameReader, name: string): number {
  const index = reader.fields.findIndex((field) => field.name === name)
  return index < 0 ? Number.POSITIVE_INFINITY : index + 1
}

const refReader = readerOf(
  { kind: 'string', min: 0, max: limits.refLength },
  'json',
  () => notEvent,
)

function named(id: unknown, ref: unknown, form: Form): { id?: string; ref?: string } {
  const names: { id?: string; ref?: string } = {}
  const fineId = readIdIfFine(id, form)
  if (fineId !== undefined) names.id = fineId
  const fineRef = refReader(ref, {})
  if (typeof fineRef === 'string') names.ref = fineRef
  return names
}
