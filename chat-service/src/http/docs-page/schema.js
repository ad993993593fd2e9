import { el, inline } from './nodes.js'

/** The fields of a JSON schema as a list: name, form, and what is said of it. */
export function fieldList(schema) {
  const fields = fieldsOf(schema)
  if (fields.length === 0) return undefined
  return el(
    'dl',
    { className: 'fields' },
    ...fields.flatMap(({ name, required, form, description }) => [
      el('dt', {}, el('code', {}, name), required ? '' : ' (optional)'),
      el('dd', {}, el('span', { className: 'form' }, form), ...inline(description)),
    ]),
  )
}

function fieldsOf(schema, prefix = '') {
  const required = new Set(schema.required ?? [])
  return Object.entries(schema.properties ?? {}).flatMap(([name, part]) => [
    {
      name: prefix + name,
      required: required.has(name),
      form: formOf(part),
      description: part.description ?? '',
    },
    ...(part.type === 'object' ? fieldsOf(part, `${prefix}${name}.`) : []),
    ...(part.type === 'array' && part.items ? fieldsOf(part.items, `${prefix}${name}[].`) : []),
  ])
}

/** `integer, 1 to 500, 100 by itself` */
export function formOf(schema) {
  const words = [schema.enum ? schema.enum.join(' | ') : nameOf(schema)]
  const { minimum, maximum = Number.MAX_SAFE_INTEGER } = schema
  if (minimum !== undefined) {
    words.push(maximum === Number.MAX_SAFE_INTEGER ? `from ${minimum}` : `${minimum} to ${maximum}`)
  }
  if (schema.maxItems !== undefined) words.push(`up to ${schema.maxItems}`)
  if (schema.default !== undefined) words.push(`${schema.default} by itself`)
  return words.join(', ')
}

function nameOf(schema) {
  if (schema.type === 'array') return `list of ${nameOf(schema.items ?? {})}`
  if (schema.pattern?.includes('[1-8]')) return 'id'
  return schema.type ?? 'any'
}
