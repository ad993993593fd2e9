import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { alsoRead } from '../golden/also-read.ts'
import { goldenFiles, refused } from '../golden/files.ts'
import type { OtherForm } from '../golden/form.ts'
import { clientGolden, serverGolden } from '../golden/frames.ts'
import { type Codec, codecFor } from './codec.ts'
import { clientFrames, serverFrames } from './frame-table.ts'

const folder = join(import.meta.dirname, '../golden')
const codecs = { json: codecFor('parley.v1.json'), msgpack: codecFor('parley.v1.msgpack') }

/** The bytes as another implementation would read them: from the file. */
async function read(path: string): Promise<Uint8Array> {
  const bytes = await readFile(join(folder, path))
  return path.endsWith('.hex') ? Buffer.from(bytes.toString('ascii').trim(), 'hex') : bytes
}
const each: [string, Codec][] = [
  ['.json', codecs.json],
  ['.msgpack.hex', codecs.msgpack],
]
const decode = ({ subprotocol, bytes }: OtherForm) => codecs[subprotocol].decodeClientMessage(bytes)

describe('golden bytes', () => {
  it('[F14] are what the codec writes, byte for byte, and nothing else lies there', async () => {
    const files = goldenFiles()
    const found = (await readdir(folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && !/\.(ts|md)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    expect(found.toSorted()).toEqual([...files.keys()].toSorted())
    for (const [path, bytes] of files) {
      expect((await readFile(join(folder, path))).equals(bytes), path).toBe(true)
    }
  })

  it('[F14] are there for every frame', () => {
    const typesIn = (golden: Record<string, { type: string }>) =>
      new Set(Object.values(golden).map(({ type }) => type))
    expect(typesIn(clientGolden)).toEqual(new Set(clientFrames.map(({ type }) => type)))
    expect(typesIn(serverGolden)).toEqual(new Set(serverFrames.map(({ type }) => type)))
  })

  it('[F14] are read as the frames they stand for', async () => {
    for (const [suffix, codec] of each) {
      for (const [name, frame] of Object.entries(clientGolden)) {
        const decoded = codec.decodeClientMessage(await read(`client/${name}${suffix}`))
        expect(decoded, name).toEqual({ ok: true, frames: [{ ok: true, frame }] })
      }
      for (const [name, frame] of Object.entries(serverGolden)) {
        const decoded = codec.decodeServerMessage(await read(`server/${name}${suffix}`))
        expect(decoded, name).toEqual({ ok: true, frames: [{ ok: true, frame }] })
      }
    }
  })

  it('[F5] other forms of the same frames are read alike', () => {
    for (const one of alsoRead) {
      const frames = one.sameAs.map((name) => ({ ok: true, frame: clientGolden[name] }))
      expect(decode(one), one.name).toEqual({ ok: true, frames })
    }
  })

  it.each(refused)('[F7] [F8] $name is refused with $code: $says', (one) => {
    const decoded = decode(one)
    if (one.code === 'bad_frame') {
      expect(decoded).toMatchObject({ ok: false, code: 'bad_frame' })
      return
    }
    const { code, type, id, ref } = one
    const message = expect.any(String)
    const given = Object.entries({ type, id, ref }).filter(([, value]) => value !== undefined)
    const answer = { ok: false, code, message, ...Object.fromEntries(given) }
    expect(decoded).toEqual({ ok: true, frames: [answer] })
  })
})
