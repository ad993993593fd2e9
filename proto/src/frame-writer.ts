import type { Form } from './field-readers.ts'
import { type Writer, writerOf } from './field-writers.ts'
import { clientFrames, eventRow, type FrameRow, serverFrames } from './frame-table.ts'

/** Frames as programs have them into what `JSON.stringify` and the MessagePack encoder take. */

interface FrameWriter {
  readonly type: string
  readonly code: number
  readonly fields: readonly { readonly name: string; readonly write: Writer }[]
}
export type FrameWriters = ReadonlyMap<string, FrameWriter>
type AnyFrame = Readonly<Record<string, unknown>>

function compileRow(row: FrameRow, form: Form): FrameWriter {
  const writeEvent = form === 'json' ? writeEventObject : writeEventArray
  return {
    type: row.type,
    code: row.code,
    fields: row.fields.map(({ name, type }) => ({ name, write: writerOf(type, form, writeEvent) })),
  }
}

const eventWriters = { json: compileRow(eventRow, 'json'), packed: compileRow(eventRow, 'packed') }
function writeEventObject(value: unknown): unknown {
  return objectOf(eventWriters.json, value as AnyFrame)
}
function writeEventArray(value: unknown): unknown {
  return arrayOf(eventWriters.packed, value as AnyFrame)
}

function compile(rows: readonly FrameRow[], form: Form): FrameWriters {
  return new Map(rows.map((row) => [row.type, compileRow(row, form)]))
}

export const writers = {
  client: { json: compile(clientFrames, 'json'), packed: compile(clientFrames, 'packed') },
  server: { json: compile(serverFrames, 'json'), packed: compile(serverFrames, 'packed') },
} as const

function writerFor(from: FrameWriters, frame: AnyFrame): FrameWriter {
  const writer = from.get(frame.type as string)
  if (writer === undefined) throw new Error(`no frame has the type ${String(frame.type)}`)
  return writer
}

/** The object that stands for a frame in JSON: `type`, then known fields in the table's order. */
export function frameObject(from: FrameWriters, frame: object): Record<string, unknown> {
  return objectOf(writerFor(from, frame as AnyFrame), frame as AnyFrame)
}

/** The array that stands for a frame in MessagePack: the type code, then the fields, trailing nils left out. */
export function frameArray(from: FrameWriters, frame: object): unknown[] {
  return arrayOf(writerFor(from, frame as AnyFrame), frame as AnyFrame)
}

function objectOf(writer: FrameWriter, frame: AnyFrame): Record<string, unknown> {
  const written: Record<string, unknown> = { type: writer.type }
  for (const { name, write } of writer.fields) {
    const value = frame[name]
    if (value !== undefined && value !== null) written[name] = write(value, frame)
  }
  return written
}

function arrayOf(writer: FrameWriter, frame: AnyFrame): unknown[] {
  const { fields } = writer
  let last = fields.length
  while (last > 0) {
    const value = frame[(fields[last - 1] as { name: string }).name]
    if (value !== undefined && value !== null) break
    last -= 1
  }
  const written = new Array<unknown>(last + 1)
  written[0] = writer.code
  for (let i = 0; i < last; i++) {
    const { name, write } = fields[i] as { name: string; write: Writer }
    const value = frame[name]
    written[i + 1] = value === undefined || value === null ? null : write(value, frame)
  }
  return written
}
