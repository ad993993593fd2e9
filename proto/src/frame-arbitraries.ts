// biome-ignore lint/correctness/noUndeclaredDependencies: only tests import this file, and fast-check is the root's.
import fc from 'fast-check'
import type { Field, FieldKind } from './field-types.ts'
import { clientFrames, eventRow, type FrameRow, serverFrames } from './frame-table.ts'
import type { ClientFrame, Event, ServerFrame } from './frames.ts'
import { formatId } from './ids.ts'

/**
 * For property tests: any frame that the table allows, in the one form that decoding gives back. Sizes are smaller
 * than the limits, so that a run stays short.
 */

const sizes = { list: 6, text: 200 } as const

/** Any RFC 9562 UUID, or one of `version`. */
export function arbitraryId(version?: number): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.integer({ min: version ?? 1, max: version ?? 8 }),
    )
    .map(([bytes, v]) => {
      const b = Uint8Array.from(bytes)
      b[6] = ((b[6] as number) & 0x0f) | (v << 4)
      b[8] = ((b[8] as number) & 0x3f) | 0x80
      return formatId(b)
    })
}

/** Any well-formed text, with U+0000, U+FEFF and characters outside the BMP among it. */
const anyText = (min: number, max: number) =>
  fc.oneof(
    fc.string({ unit: 'binary', minLength: min, maxLength: max }),
    fc.string({
      unit: fc.constantFrom('\u0000', '\ufeff', 'é', '漢', '😀', '"', '\\', 'a'),
      minLength: min,
      maxLength: max,
    }),
  )

function arbitraryOf(type: FieldKind): fc.Arbitrary<unknown> {
  switch (type.kind) {
    case 'string':
      return anyText(type.min, Math.min(type.max, sizes.text))
    case 'text':
      return anyText(1, Math.floor(Math.min(type.max, sizes.text) / 2))
    case 'id':
      return arbitraryId(type.version)
    case 'ids':
      return fc.uniqueArray(arbitraryId(), { maxLength: sizes.list })
    case 'seqs':
      return fc
        .uniqueArray(arbitraryId(), { maxLength: sizes.list })
        .chain((ids) =>
          fc
            .array(arbitraryInteger(0), { minLength: ids.length, maxLength: ids.length })
            .map((seqs) => Object.fromEntries(ids.map((id, i) => [id, seqs[i]]))),
        )
    case 'integer':
      return arbitraryInteger(type.min, type.max)
    case 'boolean':
      return fc.boolean()
    case 'choice':
      return fc.constantFrom(...type.of)
    case 'record':
      return arbitraryRecord(type.fields)
    case 'records':
      return fc.array(arbitraryRecord(type.fields), { maxLength: sizes.list })
    case 'messageBody':
      return arbitraryRecord(type.fields).map(withSomething)
    case 'events':
      return fc.array(arbitraryEvent, { maxLength: sizes.list })
    case 'data':
      return anyData
    case 'eventBody':
      throw new Error('the body of an event depends on its kind')
  }
}

/** As JSON gives it back; a `__proto__` key would be dropped, which has a test of its own. */
const anyData = fc
  .dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 }), { maxKeys: 3, noNullPrototype: true })
  .map((value) => JSON.stringify(value))
  .filter((json) => !json.includes('__proto__'))
  .map((json): unknown => JSON.parse(json))

function arbitraryInteger(
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): fc.Arbitrary<number> {
  const edges = [0, 31, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, max]
  const within = edges.filter((edge) => edge >= min && edge <= max)
  return fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, ...within))
}

function arbitraryRecord(fields: readonly Field[]): fc.Arbitrary<Record<string, unknown>> {
  const required = fields.filter((field) => !field.optional).map((field) => field.name)
  return fc.record(Object.fromEntries(fields.map(({ name, type }) => [name, arbitraryOf(type)])), {
    requiredKeys: required,
    noNullPrototype: true,
  })
}

/** As decoding has it: nothing empty, and something in it. */
function withSomething(body: Record<string, unknown>): Record<string, unknown> {
  const kept = Object.entries(body).filter(([, value]) => (value as string | unknown[]).length > 0)
  const full = Object.fromEntries(kept)
  return full.text === undefined && full.attachments === undefined ? { text: '-', ...full } : full
}

function arbitraryFrame(row: FrameRow): fc.Arbitrary<Record<string, unknown>> {
  const plain = row.fields.filter(({ type }) => type.kind !== 'eventBody')
  const frame = arbitraryRecord(plain).map((fields) => ({ type: row.type, ...fields }))
  const body = row.fields.find(({ type }) => type.kind === 'eventBody')
  if (body?.type.kind !== 'eventBody') return frame
  const { byKind } = body.type
  return frame.chain((given: Record<string, unknown>) => {
    const type = byKind[given.kind as string]
    if (!type) return fc.constant(given)
    return fc
      .option(arbitraryOf(type), { nil: undefined })
      .map((value) => (value === undefined ? given : { ...given, [body.name]: value }))
  })
}

export const arbitraryEvent = fc
  .constant(eventRow)
  .chain(arbitraryFrame) as fc.Arbitrary<unknown> as fc.Arbitrary<Event>
export const arbitraryClientFrame = fc.oneof(
  ...clientFrames.map(arbitraryFrame),
) as fc.Arbitrary<unknown> as fc.Arbitrary<ClientFrame>
export const arbitraryServerFrame = fc.oneof(
  ...serverFrames.map(arbitraryFrame),
) as fc.Arbitrary<unknown> as fc.Arbitrary<ServerFrame>
