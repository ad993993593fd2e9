import { Packr } from 'msgpackr'
import type { ClientFrame, ServerFrame } from './frames.ts'
import { formatUuid, uuidBytes } from './ids.ts'

/** PROTOCOL.md's table of MessagePack frames, written down a second time so that a drift of Parley's own shows. */

type Field = [name: string, form?: 'id' | 'ids' | 'byId' | 'events']
type Layout = [code: number, type: string, fields: Field[]]

const clientLayouts: Layout[] = [
  [1, 'hello', [['token'], ['device'], ['resume', 'byId'], ['ticket'], ['client']]],
  [2, 'send', [['id', 'id'], ['conversation', 'id'], ['body'], ['retry']]],
  [3, 'edit', [['id', 'id'], ['conversation', 'id'], ['target', 'id'], ['body'], ['retry']]],
  [4, 'delete', [['id', 'id'], ['conversation', 'id'], ['target', 'id'], ['retry']]],
  [
    5,
    'react',
    [['id', 'id'], ['conversation', 'id'], ['target', 'id'], ['emoji'], ['remove'], ['retry']],
  ],
  [6, 'read', [['conversation', 'id'], ['seq'], ['ref']]],
  [7, 'typing', [['conversation', 'id'], ['active'], ['ref']]],
  [8, 'sync', [['ref'], ['conversation', 'id'], ['after'], ['limit']]],
  [9, 'watch', [['users', 'ids'], ['ref']]],
  [10, 'ping', [['ref']]],
  [11, 'auth', [['token'], ['ref']]],
]

const eventFields: Field[] = [
  ['conversation', 'id'],
  ['seq'],
  ['id', 'id'],
  ['kind'],
  ['sender', 'id'],
  ['at'],
  ['body'],
  ['target', 'id'],
]
const serverLayouts: Layout[] = [
  [
    64,
    'welcome',
    [
      ['user', 'id'],
      ['session', 'id'],
      ['time'],
      ['limits'],
      ['conversations'],
      ['more'],
      ['ticket'],
    ],
  ],
  [65, 'ack', [['id', 'id'], ['conversation', 'id'], ['seq'], ['at'], ['duplicate']]],
  [66, 'error', [['code'], ['message'], ['retryable'], ['id', 'id'], ['ref'], ['retryAfterMs']]],
  [67, 'event', eventFields],
  [68, 'gap', [['conversation', 'id'], ['head']]],
  [69, 'heads', [['heads', 'byId']]],
  [
    70,
    'synced',
    [['ref'], ['conversation', 'id'], ['events', 'events'], ['head'], ['from'], ['more']],
  ],
  [71, 'read', [['conversation', 'id'], ['user', 'id'], ['seq']]],
  [72, 'typing', [['conversation', 'id'], ['user', 'id'], ['active']]],
  [73, 'presence', [['users']]],
  [74, 'conversation', [['change'], ['conversation', 'id'], ['info']]],
  [75, 'drain', [['reconnectAfterMs']]],
  [76, 'pong', [['ref'], ['time']]],
  [77, 'ok', [['ref']]],
]
const clientByType = new Map(clientLayouts.map((layout) => [layout[1], layout]))
const serverByCode = new Map(serverLayouts.map((layout) => [layout[0], layout]))

const packr = new Packr({
  useRecords: false,
  int64AsType: 'number',
  variableMapSize: true,
  encodeUndefinedAsNil: true,
})

export function packValue(value: unknown): Buffer {
  return packr.pack(value)
}

/** One frame as the array that goes on the wire. Values of another form than the table's pass as they are, for bad input. */
export function frameToArray(frame: ClientFrame): unknown[] {
  const layout = clientByType.get(frame.type)
  if (layout === undefined) throw new Error(`no client frame is named ${frame.type}`)
  const [code, , fields] = layout
  const array: unknown[] = [code, ...fields.map(([name, form]) => toWire(frame[name], form))]
  while (array.at(-1) === null) array.pop()
  return array
}

export function encodeMessage(frames: ClientFrame | readonly ClientFrame[]): Buffer {
  return packr.pack(
    Array.isArray(frames)
      ? (frames as ClientFrame[]).map(frameToArray)
      : frameToArray(frames as ClientFrame),
  )
}

function toWire(value: unknown, form: Field[1]): unknown {
  if (value === undefined || value === null) return null
  if (form === 'id' && typeof value === 'string') return uuidBytes(value)
  if (form === 'ids' && Array.isArray(value)) return value.map((id) => uuidBytes(id as string))
  if (form === 'byId' && typeof value === 'object') {
    return Object.entries(value).map(([id, seq]) => [uuidBytes(id), seq])
  }
  return value
}

/** The frames of one server message. Throws on anything that PROTOCOL.md does not have. */
export function decodeMessage(bytes: Uint8Array): ServerFrame[] {
  const value = packr.unpack(bytes) as unknown[]
  if (!Array.isArray(value)) throw new Error('a server message is no array')
  const frames = typeof value[0] === 'number' ? [value] : (value as unknown[][])
  return frames.map(arrayToFrame)
}

function arrayToFrame(array: unknown[]): ServerFrame {
  const layout = serverByCode.get(array[0] as number)
  if (layout === undefined) throw new Error(`no server frame has the code ${String(array[0])}`)
  if (array.length > 1 && array.at(-1) === null) throw new Error('trailing nils are left out')
  return { type: layout[1], ...fieldsOf(layout[2], array.slice(1)) } as unknown as ServerFrame
}

function fieldsOf(fields: Field[], values: unknown[]): Record<string, unknown> {
  if (values.length > fields.length) throw new Error('a server frame has unknown fields')
  const record: Record<string, unknown> = {}
  for (const [i, [name, form]] of fields.entries()) {
    const value = values[i]
    if (value !== null && value !== undefined) record[name] = fromWire(value, form)
  }
  return record
}

function fromWire(value: unknown, form: Field[1]): unknown {
  if (form === 'id') return idOf(value)
  if (form === 'byId') {
    return Object.fromEntries((value as [unknown, number][]).map(([id, seq]) => [idOf(id), seq]))
  }
  if (form === 'events') return (value as unknown[][]).map(arrayToFrame)
  return value
}

function idOf(value: unknown): string {
  if (!(value instanceof Uint8Array) || value.length !== 16) {
    throw new Error('an id by itself is 16 bytes')
  }
  return formatUuid(value)
}
