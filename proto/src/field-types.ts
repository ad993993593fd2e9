import { limits, maxInteger } from './limits.ts'

/**
 * What a field may hold, as data: `frame-table.ts` is written in these, and readers, writers and SPEC.md follow it.
 * `T` is what a program sees of the field; the compiler holds it against the frame's interface.
 */
export type FieldKind =
  /** `min` to `max` Unicode code points. */
  | { readonly kind: 'string'; readonly min: number; readonly max: number }
  /** Up to `max` UTF-16 code units. */
  | { readonly kind: 'text'; readonly max: number }
  /** A UUID; with `version`, only one of that version. */
  | { readonly kind: 'id'; readonly version?: number }
  | { readonly kind: 'ids'; readonly max: number }
  /** Conversation to seq. */
  | { readonly kind: 'seqs'; readonly max: number }
  | { readonly kind: 'integer'; readonly min: number; readonly max: number }
  | { readonly kind: 'boolean' }
  | { readonly kind: 'choice'; readonly of: readonly string[] }
  | { readonly kind: 'record'; readonly fields: readonly Field[] }
  | { readonly kind: 'records'; readonly fields: readonly Field[]; readonly max: number }
  /** A record with something in it, of bounded size. */
  | { readonly kind: 'messageBody'; readonly fields: readonly Field[]; readonly maxBytes: number }
  /** The record that belongs to the frame's `kind`; null stands for no body at all. */
  | { readonly kind: 'eventBody'; readonly byKind: Readonly<Record<string, FieldKind | null>> }
  /** `event` frames. */
  | { readonly kind: 'events'; readonly max: number }
  /** A map of plain data, whose form the frame leaves open. */
  | { readonly kind: 'data' }

declare const seen: unique symbol
export type FieldType<T> = FieldKind & { readonly [seen]?: T }
export interface Optional<T> {
  readonly optional: FieldType<T>
}

export interface Field {
  readonly name: string
  readonly type: FieldKind
  readonly optional: boolean
}

/** Each field of `T` but `type`, in the order of the wire; optional there means optional here. */
export type FieldsOf<T> = {
  readonly [K in Exclude<keyof T, 'type'>]-?: Partial<Pick<T, K>> extends Pick<T, K>
    ? Optional<Exclude<T[K], undefined>>
    : FieldType<T[K]>
}

/** `fields` is a `FieldsOf` some frame or record; its keys are in the order of the wire. */
export function fieldList(fields: object): readonly Field[] {
  return Object.entries(fields as Record<string, FieldKind | Optional<unknown>>).map(
    ([name, given]) =>
      'optional' in given
        ? { name, type: given.optional, optional: true }
        : { name, type: given, optional: false },
  )
}

export function optional<T>(type: FieldType<T>): Optional<T> {
  return { optional: type }
}

export const string = (min: number, max: number): FieldType<string> => ({
  kind: 'string',
  min,
  max,
})
export const text = (max: number): FieldType<string> => ({ kind: 'text', max })
export const id: FieldType<string> = { kind: 'id' }
/** An id that the client made, so that its time can be read. */
export const clientId: FieldType<string> = { kind: 'id', version: 7 }
export const ids = (max: number): FieldType<string[]> => ({ kind: 'ids', max })
export const seqs = (max: number): FieldType<Record<string, number>> => ({ kind: 'seqs', max })
export const integer = (min: number, max: number = maxInteger): FieldType<number> => ({
  kind: 'integer',
  min,
  max,
})
/** The place of an event. */
export const seq = integer(1)
/** A head or a read position, where 0 stands for none. */
export const position = integer(0)
/** Milliseconds since 1970. */
export const time = integer(0)
export const boolean: FieldType<boolean> = { kind: 'boolean' }
export const choice = <T extends string>(of: readonly T[]): FieldType<T> => ({ kind: 'choice', of })
export const record = <T>(fields: FieldsOf<T>): FieldType<T> => ({
  kind: 'record',
  fields: fieldList(fields),
})
export const records = <T>(max: number, fields: FieldsOf<T>): FieldType<T[]> => ({
  kind: 'records',
  max,
  fields: fieldList(fields),
})
export const messageBodyOf = <T>(fields: FieldsOf<T>): FieldType<T> => ({
  kind: 'messageBody',
  fields: fieldList(fields),
  maxBytes: limits.bodyBytes,
})
export const eventBodyOf = <T>(
  byKind: Readonly<Record<string, FieldKind | null>>,
): FieldType<T> => ({ kind: 'eventBody', byKind })
export const events = <T>(max: number): FieldType<T[]> => ({ kind: 'events', max })
export const data: FieldType<Record<string, unknown>> = { kind: 'data' }
