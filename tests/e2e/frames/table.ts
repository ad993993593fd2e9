import { formatUuid, uuidBytes } from '../harness/ids.ts'
import type { Packed } from './exact-msgpack.ts'

/** PROTOCOL.md's table of frames: type codes, fields in order, their forms, and which may be absent. */

export type Fields = Record<string, unknown>
type Form = 'id' | 'ids' | 'seqs' | 'string' | 'integer' | 'boolean' | 'record' | 'list' | 'events'
export interface Field {
  name: string
  form: Form
  optional: boolean
}
export interface Row {
  code: number
  type: string
  fields: readonly Field[]
}

/** `name:form`, with `?` behind the form of what may be absent. */
function row(code: number, type: string, fields: string): Row {
  const read = fields.split(' ').map((field): Field => {
    const [name, form] = field.split(':') as [string, string]
    return { name, form: form.replace('?', '') as Form, optional: form.endsWith('?') }
  })
  return { code, type, fields: read }
}

export const clientRows: readonly Row[] = [
  row(1, 'hello', 'token:string device:string resume:seqs? ticket:string? client:string?'),
  row(2, 'send', 'id:id conversation:id body:record retry:boolean?'),
  row(3, 'edit', 'id:id conversation:id target:id body:record retry:boolean?'),
  row(4, 'delete', 'id:id conversation:id target:id retry:boolean?'),
  row(5, 'react', 'id:id conversation:id target:id emoji:string remove:boolean? retry:boolean?'),
  row(6, 'read', 'conversation:id seq:integer ref:string?'),
  row(7, 'typing', 'conversation:id active:boolean ref:string?'),
  row(8, 'sync', 'ref:string conversation:id after:integer limit:integer?'),
  row(9, 'watch', 'users:ids ref:string?'),
  row(10, 'ping', 'ref:string?'),
  row(11, 'auth', 'token:string ref:string?'),
]

export const serverRows: readonly Row[] = [
  row(
    64,
    'welcome',
    'user:id session:id time:integer limits:record conversations:list more:boolean ticket:string?',
  ),
  row(65, 'ack', 'id:id conversation:id seq:integer at:integer duplicate:boolean?'),
  row(
    66,
    'error',
    'code:string message:string retryable:boolean id:id? ref:string? retryAfterMs:integer?',
  ),
  row(
    67,
    'event',
    'conversation:id seq:integer id:id kind:string sender:id at:integer body:record? target:id?',
  ),
  row(68, 'gap', 'conversation:id head:integer'),
  row(69, 'heads', 'heads:seqs'),
  row(
    70,
    'synced',
    'ref:string conversation:id events:events head:integer from:integer more:boolean',
  ),
  row(71, 'read', 'conversation:id user:id seq:integer'),
  row(72, 'typing', 'conversation:id user:id active:boolean'),
  row(73, 'presence', 'users:list'),
  row(74, 'conversation', 'change:string conversation:id info:record?'),
  row(75, 'drain', 'reconnectAfterMs:integer'),
  row(76, 'pong', 'ref:string? time:integer'),
  row(77, 'ok', 'ref:string'),
]

export const rowOf = (rows: readonly Row[], type: string): Row => {
  const found = rows.find((entry) => entry.type === type)
  if (found === undefined) throw new Error(`no frame is named ${type}`)
  return found
}

/** [M1] A frame as its array. Values of another form than the table's go as they are, for hostile input. */
export function toArray(rows: readonly Row[], frame: Fields): Packed[] {
  const { code, fields } = rowOf(rows, String(frame.type))
  const array = [code, ...fields.map(({ name, form }) => toPacked(frame[name], form))]
  while (array.at(-1) === null) array.pop()
  return array as Packed[]
}

const isUuid = (value: unknown): value is string =>
  typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)

function toPacked(value: unknown, form: Form): unknown {
  if (value === undefined || value === null) return null
  if (form === 'id') return isUuid(value) ? uuidBytes(value) : value
  if (form === 'ids' && Array.isArray(value)) {
    return value.map((id) => (isUuid(id) ? uuidBytes(id) : id))
  }
  if (form === 'seqs' && typeof value === 'object' && !Array.isArray(value)) {
    return Object.entries(value).map(([id, seq]) => [isUuid(id) ? uuidBytes(id) : id, seq])
  }
  if (form === 'events' && Array.isArray(value)) {
    return value.map((event) => toArray(serverRows, event as Fields))
  }
  return value
}

/** A server's frame from its array. Throws on whatever the table does not have, trailing nils too. */
export function fromArray(array: readonly Packed[]): Fields {
  const [code, ...values] = array
  const found = serverRows.find((entry) => entry.code === code)
  if (found === undefined) throw new Error(`no server frame has the code ${String(code)}`)
  if (values.length > found.fields.length) throw new Error(`${found.type} has too many fields`)
  if (values.at(-1) === null) throw new Error(`${found.type} ends with nil`)
  const frame: Fields = { type: found.type }
  for (const [i, field] of found.fields.entries()) {
    const value = values[i] ?? null
    if (value !== null) frame[field.name] = fromPacked(value, field, found.type)
    else if (!field.optional) throw new Error(`${found.type} lacks ${field.name}`)
  }
  return frame
}

function fromPacked(value: Packed, { name, form }: Field, type: string): unknown {
  const wrong = () => new Error(`${type}.${name} is no ${form}: ${JSON.stringify(value)}`)
  switch (form) {
    case 'id':
      if (!(value instanceof Uint8Array) || value.length !== 16) throw wrong()
      return formatUuid(value)
    case 'seqs':
      if (!Array.isArray(value)) throw wrong()
      return Object.fromEntries(
        (value as [Uint8Array, number][]).map(([id, seq]) => [formatUuid(id), seq]),
      )
    case 'events':
      if (!Array.isArray(value)) throw wrong()
      return (value as Packed[][]).map(fromArray)
    default:
      if (!hasForm(value, form)) throw wrong()
      return value
  }
}

/** [J7] A server's frame from its object: `type` first, then the table's order, nothing that is absent or unknown. */
export function fromObject(frame: Fields): Fields {
  const { fields } = rowOf(serverRows, String(frame.type))
  const names = fields.filter(({ name }) => frame[name] !== undefined).map(({ name }) => name)
  const wanted = ['type', ...names].join()
  if (Object.keys(frame).join() !== wanted) {
    throw new Error(`${frame.type} has ${Object.keys(frame)}, not ${wanted}`)
  }
  for (const { name, form, optional } of fields) {
    const value = frame[name]
    if (value === undefined && optional) continue
    const ok =
      form === 'id' ? isUuid(value) : form === 'seqs' ? isRecord(value) : hasForm(value, form)
    if (!ok) throw new Error(`${frame.type}.${name} is no ${form}: ${JSON.stringify(value)}`)
    if (form === 'events') for (const event of value as Fields[]) fromObject(event)
  }
  return frame
}

function hasForm(value: unknown, form: Form): boolean {
  switch (form) {
    case 'string':
      return typeof value === 'string'
    case 'integer':
      return Number.isSafeInteger(value) && (value as number) >= 0
    case 'boolean':
      return typeof value === 'boolean'
    case 'record':
      return isRecord(value)
    default:
      return Array.isArray(value)
  }
}

function isRecord(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
  )
}
