import type { Form } from './field-readers.ts'
import type { Field, FieldKind } from './field-types.ts'
import { parseId } from './ids.ts'
import { whole } from './pack.ts'

/** From what programs see to what an encoder writes; the way back of `field-readers.ts`. The values are trusted. */

/** `frame` is the frame that the field stands in. */
export type Writer = (value: unknown, frame: Readonly<Record<string, unknown>>) => unknown
/** Writes one `event` frame within another. */
export type EventWriter = (value: unknown) => unknown

const asItIs: Writer = (value) => value

export function writerOf(type: FieldKind, form: Form, writeEvent: EventWriter): Writer {
  switch (type.kind) {
    case 'id':
      return form === 'json' ? asItIs : (value) => parseId(value as string)
    case 'ids':
      return form === 'json' ? asItIs : (value) => (value as string[]).map(parseId)
    case 'seqs':
      return form === 'json' ? asItIs : writeSeqPairs
    case 'integer':
      return form === 'json' ? asItIs : (value) => whole(value as number)
    case 'record':
    case 'messageBody':
      return recordWriter(type.fields, form)
    case 'records': {
      const writeOne = recordWriter(type.fields, form)
      return (value, frame) => (value as unknown[]).map((one) => writeOne(one, frame))
    }
    case 'eventBody':
      return eventBodyWriter(type.byKind, form)
    case 'events':
      return (value) => (value as unknown[]).map(writeEvent)
    case 'string':
    case 'text':
    case 'boolean':
    case 'choice':
    case 'data':
      return asItIs
  }
}

function writeSeqPairs(value: unknown): unknown {
  return Object.entries(value as Record<string, number>).map(([id, seq]) => [
    parseId(id),
    whole(seq),
  ])
}

/** Known fields only, in the table's order; ids within a record are strings in both forms. */
function recordWriter(fields: readonly Field[], form: Form): Writer {
  const writers = fields.map(({ name, type }) => ({
    name,
    write: type.kind === 'integer' ? writerOf(type, form, asItIs as EventWriter) : asItIs,
  }))
  return (value, frame) => {
    const given = value as Record<string, unknown>
    const written: Record<string, unknown> = {}
    for (const { name, write } of writers) {
      const one = given[name]
      if (one !== undefined && one !== null) written[name] = write(one, frame)
    }
    return written
  }
}

function eventBodyWriter(byKind: Readonly<Record<string, FieldKind | null>>, form: Form): Writer {
  const writers = new Map<string, Writer>()
  for (const [kind, type] of Object.entries(byKind)) {
    if (type !== null) writers.set(kind, writerOf(type, form, asItIs as EventWriter))
  }
  return (value, frame) => writers.get(frame.kind as string)?.(value, frame)
}
