import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { LogUnusable } from '@parley/platform/ports/log'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type LmdbLog, openLmdbLog } from './log.ts'

let folder: string
let path: string
let file: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-log-'))
  path = join(folder, 'log')
  file = join(path, 'log.mdb')
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function openMain(topics: Record<string, number> = { main: 2 }): Promise<LmdbLog> {
  return openLmdbLog({ path, topics, maxRecordBytes: 10_000, maxReadBytes: 10_000 })
}

/** A closed log with some records in it. */
async function makeLog(): Promise<string> {
  const log = await openMain()
  for (const partition of [0, 1]) {
    const records = Array.from({ length: 50 }, (_, index) => ({
      headers: { schema: '1' },
      value: Buffer.alloc(100 * index, index),
    }))
    await log.append('main', partition, records)
  }
  await log.close()
  return log.epoch
}

/** Everything in the folder but LMDB's table of readers, which says nothing about the data. */
function fingerprint(): string {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('-lock'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  const hash = createHash('sha256')
  for (const name of names) hash.update(name).update(readFileSync(name))
  return hash.digest('hex')
}

/** Opening must be refused in one sentence that names the file, and change nothing. */
async function expectUnusable(reason: RegExp, topics?: Record<string, number>): Promise<void> {
  const before = fingerprint()
  const error = await openMain(topics).then(
    () => null,
    (refusal: unknown) => refusal,
  )
  expect(error).toBeInstanceOf(LogUnusable)
  const { message } = error as Error
  expect(message).toMatch(reason)
  expect(message).toContain(path)
  expect(message).not.toContain('\n')
  expect(fingerprint()).toBe(before)
}

describe('a log that cannot be opened is refused and left as it is', () => {
  it('an empty file', async () => {
    await makeLog()
    writeFileSync(file, '')
    await expectUnusable(/is empty/)
  })

  it('a file of something else', async () => {
    mkdirSync(path)
    writeFileSync(file, Buffer.alloc(100_000, 'something else'))
    await expectUnusable(/is not an LMDB file/)
  })

  it.each([100, 4_096, 5_000, 30_000])('a file cut off after %d bytes', async (bytes) => {
    await makeLog()
    truncateSync(file, bytes)
    await expectUnusable(/is cut off/)
  })

  it('a file cut off by its last page', async () => {
    await makeLog()
    const whole = readFileSync(file)
    truncateSync(file, whole.length - 4_096)
    await expectUnusable(/is cut off/)
    writeFileSync(file, whole)
    const log = await openMain()
    expect(await log.range('main', 1)).toEqual({ earliest: 0, next: 50 })
    await log.close()
  })

  it('a file with a page that was overwritten', async () => {
    await makeLog()
    const whole = readFileSync(file)
    let refused = 0
    for (let page = 2; page < whole.length / 4_096; page++) {
      writeFileSync(file, Buffer.from(whole).fill(0xff, page * 4_096, page * 4_096 + 64))
      const before = fingerprint()
      try {
        const log = await openMain()
        await log.close()
      } catch (error) {
        expect(error).toBeInstanceOf(LogUnusable)
        expect(fingerprint()).toBe(before)
        refused += 1
      }
    }
    expect(refused).toBeGreaterThan(3)
  })

  it('an LMDB file that is no log', async () => {
    mkdirSync(path)
    const other = open({ path: file, noSubdir: true, overlappingSync: false })
    await other.put('a', 'b')
    await other.close()
    await expectUnusable(/is not a log of Parley/)
  })

  it('a log of another format', async () => {
    await makeLog()
    const root = open({ path: file, noSubdir: true, overlappingSync: false })
    const meta = root.openDB({ name: 'meta', encoding: 'binary', keyEncoding: 'binary' })
    await meta.put(Buffer.from('log'), Buffer.from('{"format":2}'))
    await root.close()
    await expectUnusable(/has format 2, this release reads format 1/)
  })

  it('another number of partitions, also beside a topic that is new', async () => {
    await makeLog()
    await expectUnusable(/has 2 partitions of main, 4 are configured/, { main: 4 })
    await expectUnusable(/has 2 partitions of main, 1 are configured/, { other: 3, main: 1 })
  })

  it('a folder that is a file', async () => {
    writeFileSync(path, 'not a folder')
    await expectUnusable(/cannot be opened/)
  })

  it('a log that this process has open, which goes on', async () => {
    const log = await openMain()
    await expectUnusable(/is already open in this process/)
    await log.append('main', 0, [{ headers: { schema: '1' }, value: Buffer.of(1) }])
    await log.close()
    await (await openMain()).close()
  })

  it('a log that another process has open, until that one is gone', async () => {
    const script = fileURLToPath(new URL('./fixtures/open-and-wait.ts', import.meta.url))
    const child = spawn(process.execPath, [script, path], { stdio: ['pipe', 'pipe', 'inherit'] })
    const exited = once(child, 'exit')
    try {
      await once(child.stdout, 'data')
      await expectUnusable(new RegExp(`is in use by process ${child.pid}`))
    } finally {
      child.kill('SIGKILL')
      await exited
    }
    await (await openMain()).close()
  })
})

describe('a log that can be opened', () => {
  it('takes a new topic in and keeps its epoch', async () => {
    const epoch = await makeLog()
    const log = await openMain({ main: 2, added: 3 })
    expect(log.epoch).toBe(epoch)
    expect(log.partitions('added')).toBe(3)
    await log.append('added', 2, [{ headers: { schema: '1' }, value: Buffer.of(1) }])
    await log.close()
    const again = await openMain({ added: 3 })
    expect(await again.range('added', 2)).toEqual({ earliest: 0, next: 1 })
    await again.close()
  })

  it('takes the place of one whose making was cut short', async () => {
    mkdirSync(path)
    writeFileSync(join(path, 'new.mdb'), 'half made')
    const epoch = await makeLog()
    expect(readdirSync(path).sort()).toEqual(['log.mdb', 'log.mdb-lock'])
    const log = await openMain()
    expect(log.epoch).toBe(epoch)
    await log.close()
  })

  it('has an epoch of its own', async () => {
    const first = await makeLog()
    rmSync(path, { recursive: true })
    expect(await makeLog()).not.toBe(first)
  })

  it.each([{ main: 0 }, { main: 1.5 }, { 'a\0b': 1 }])(
    'refuses impossible topics %j',
    async (topics) => {
      await expect(openMain(topics)).rejects.toThrow(RangeError)
    },
  )
})
