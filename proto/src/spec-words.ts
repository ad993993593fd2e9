import type { Field, FieldKind } from './field-types.ts'
import type { FrameRow } from './frame-table.ts'
import { maxInteger } from './limits.ts'

/** The words in which SPEC.md writes the frame table, so that a test can hold the page against it. */

/** The first cells of a frame's row: code, type, fields. */
export function rowOf({ code, type, fields }: FrameRow): string[] {
  return [String(code), `\`${type}\``, fieldsInWords(fields)]
}

/** The rows of the records within a frame: where they stand, and their fields. */
export function recordRowsOf({ type, fields }: FrameRow): string[][] {
  const rows: string[][] = []
  for (const field of fields) {
    if (field.type.kind !== 'record' && field.type.kind !== 'records') continue
    rows.push([`\`${type}.${field.name}\``, fieldsInWords(field.type.fields)])
  }
  return rows
}

export function fieldsInWords(fields: readonly Field[]): string {
  return fields
    .map(({ name, type, optional }) => `\`${name}${optional ? '?' : ''}\` ${inWords(type)}`)
    .join(', ')
}

export function inWords(type: FieldKind): string {
  switch (type.kind) {
    case 'string':
      return type.min === 0 ? `string ≤ ${type.max}` : `string ${type.min}–${type.max}`
    case 'text':
      return `text ≤ ${type.max}`
    case 'id':
      return type.version === undefined ? 'id' : `id v${type.version}`
    case 'ids':
      return `ids ≤ ${type.max}`
    case 'seqs':
      return `seqs ≤ ${type.max}`
    case 'integer':
      return type.max === maxInteger ? `integer ≥ ${type.min}` : `integer ${type.min}–${type.max}`
    case 'choice':
      return type.of.length > 9 ? 'a code of [E1]' : type.of.join('/')
    case 'record':
      return 'record'
    case 'records':
      return `list ≤ ${type.max} of records`
    case 'messageBody':
      return 'body [B1]'
    case 'eventBody':
      return 'body [B5]'
    case 'events':
      return `list ≤ ${type.max} of \`event\` frames`
    case 'data':
      return 'map'
    case 'boolean':
      return 'boolean'
  }
}
