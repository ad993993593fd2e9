import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { decodeExactly, encodeExactly, type Packed } from './exact-msgpack.ts'
import { clientRows, type Fields, fromArray, fromObject, serverRows, toArray } from './table.ts'

/** The table and the format as these tests have them make the golden bytes, so that they may judge the server. */

const golden = new URL('../../../proto/golden/', import.meta.url)
const namesIn = (folder: string) =>
  readdirSync(new URL(folder, golden))
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -5))
const text = (name: string) => readFileSync(new URL(`${name}.json`, golden), 'utf8')
const bytes = (name: string) =>
  Buffer.from(readFileSync(new URL(`${name}.msgpack.hex`, golden), 'utf8').trim(), 'hex')

test.each(namesIn('client'))('[F14][M1] client/%s: the table makes its bytes', (name) => {
  const frame = JSON.parse(text(`client/${name}`)) as Fields
  expect(encodeExactly(toArray(clientRows, frame))).toEqual(bytes(`client/${name}`))
})

test.each(namesIn('server'))(
  '[F14][M1][J7] server/%s: the table reads and makes its bytes',
  (name) => {
    const frame = JSON.parse(text(`server/${name}`)) as Fields
    expect(encodeExactly(toArray(serverRows, frame))).toEqual(bytes(`server/${name}`))
    const array = decodeExactly(bytes(`server/${name}`)) as Packed[]
    expect(fromArray(array)).toEqual(frame)
    expect(fromObject(frame)).toEqual(frame)
    expect(JSON.stringify(frame)).toBe(text(`server/${name}`))
  },
)
