import { createHash } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { StartError } from '@parley/platform/process/start-error'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ArchiveLine, firstLine, formatLine, lastLine, lastLineBytes } from './format.ts'
import { openArchive } from './read-archive.ts'
import { writeArchive } from './write-archive.ts'

let folder: string
let files = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-archive-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const newPath = () => join(folder, `file-${++files}`)
const never = new AbortController().signal

async function* each(lines: readonly string[]): AsyncGenerator<string> {
  yield* lines
}

type Tables = Record<string, string[]>

function headerOf(tables: Tables): string {
  const named = Object.keys(tables).map((name) => ({ name, columns: ['a'] }))
  const rest = { madeAt: '2026-01-01T00:00:00Z', migrations: ['001'], keySecret: { secret: 's' } }
  return formatLine({ type: 'header', ...rest, tables: named })
}

function linesOf(tables: Tables): string[] {
  const lines = [headerOf(tables)]
  for (const [name, rows] of Object.entries(tables)) {
    const text = rows.map((row) => `${row}\n`).join('')
    const sha256 = createHash('sha256').update(text).digest('hex')
    lines.push(formatLine({ type: 'table', name }))
    if (text !== '') lines.push(text)
    lines.push(formatLine({ type: 'end', name, rows: rows.length, sha256 }))
  }
  const rows = Object.values(tables).reduce((sum, list) => sum + list.length, 0)
  return [...lines, formatLine({ type: 'close', rows })]
}

async function written(lines: readonly string[]): Promise<string> {
  const path = newPath()
  await writeArchive(path, each(lines), never)
  return path
}

async function readTables(path: string): Promise<Tables> {
  const archive = await openArchive(path)
  try {
    const tables: Tables = Object.fromEntries(archive.header.tables.map(({ name }) => [name, []]))
    for await (const { table, rows } of archive.rows()) tables[table]?.push(...rows)
    return tables
  } finally {
    await archive.close()
  }
}

const row = fc.string({ unit: 'grapheme', maxLength: 400 }).map((text) => JSON.stringify({ text }))

test('what was written is read again, row by row', async () => {
  const names = ['users', 'empty', 'messages']
  const lists = fc.tuple(...names.map(() => fc.array(row, { maxLength: 700, size: 'max' })))
  await fc.assert(
    fc.asyncProperty(lists, async (all) => {
      const tables = Object.fromEntries(names.map((name, i) => [name, all[i] ?? []]))
      expect(await readTables(await written(linesOf(tables)))).toEqual(tables)
    }),
    { numRuns: 25 },
  )
})

test('rows longer than a chunk of the stream, and more than a batch of them', async () => {
  const tables = {
    long: [JSON.stringify({ text: 'x'.repeat(3_000_000) }), '{}'],
    many: Array.from({ length: 5_000 }, (_, n) => JSON.stringify({ n })),
  }
  const path = await written(linesOf(tables))
  expect(await readTables(path)).toEqual(tables)
  const archive = await openArchive(path)
  for await (const { rows } of archive.rows()) expect(rows.length).toBeLessThanOrEqual(256)
  await archive.close()
})

test('its owner alone may read it, also where everybody may read what others write', async () => {
  const before = process.umask(0)
  try {
    const path = await written(linesOf({ users: ['{}'] }))
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  } finally {
    process.umask(before)
  }
})

test('every changed byte is refused, in one sentence', async () => {
  const whole = await readFile(await written(linesOf({ users: ['{"a":1}', '{"a":2}'] })))
  const path = newPath()
  for (let at = 0; at < whole.length; at++) {
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] as number) ^ (1 << (at % 8))
    await writeFile(path, bytes)
    await expect(openArchive(path), `byte ${at}`).rejects.toBeInstanceOf(StartError)
  }
  expect(whole.length).toBeGreaterThan(200)
})

test('every cut is refused, and so is what stands behind the end', async () => {
  const whole = await readFile(await written(linesOf({ users: ['{"a":1}', '{"a":2}'] })))
  const path = newPath()
  for (let length = 0; length < whole.length; length++) {
    await writeFile(path, whole.subarray(0, length))
    await expect(openArchive(path), `${length} bytes`).rejects.toBeInstanceOf(StartError)
  }
  for (const more of ['\n', '0', whole]) {
    await writeFile(path, Buffer.concat([whole, Buffer.from(more)]))
    await expect(openArchive(path)).rejects.toThrow(/damaged/)
  }
})

test('a file of a later form is refused and names both', async () => {
  const path = newPath()
  await writeFile(path, firstLine(2))
  await expect(openArchive(path)).rejects.toThrow(/form 2.*reads 1/)
  await expect(openArchive(join(folder, 'not-there'))).rejects.toThrow(/can't be read.*not-there/)
  await expect(openArchive(folder)).rejects.toBeInstanceOf(StartError)
})

/** Whole files, as the outer checksum sees it, of contents that no writer of ours makes. */
const wrong: [string, (lines: string[]) => string[]][] = [
  ['a row more', (lines) => lines.toSpliced(2, 1, `${lines[2]}{"a":3}\n`)],
  ['a row less', (lines) => lines.toSpliced(2, 1)],
  ['another row', (lines) => lines.toSpliced(2, 1, '{"a":1}\n{"a":3}\n')],
  ['a table missing', (lines) => lines.toSpliced(1, 3)],
  ['a table twice', (lines) => lines.toSpliced(4, 0, ...lines.slice(1, 4))],
  ['a row outside of its table', (lines) => lines.toSpliced(4, 0, '{"a":9}\n')],
  ['no end', (lines) => lines.slice(0, -1)],
  ['something behind the end', (lines) => [...lines, '{"a":9}\n']],
  ['no header', (lines) => lines.slice(1)],
  ['two headers', (lines) => lines.toSpliced(1, 0, lines[0] as string)],
  ['a line cut', (lines) => lines.with(-1, (lines.at(-1) as string).slice(0, -1))],
  ['a line that is no JSON', (lines) => lines.toSpliced(1, 0, '#nonsense\n')],
  ['an unknown line', (lines) => lines.toSpliced(1, 0, '#{"type":"other"}\n')],
  [
    'the wrong sum',
    (lines) => lines.with(-1, formatLine({ type: 'close', rows: 1 } as ArchiveLine)),
  ],
]
test.each(wrong)('%s is refused where it is read', async (_name, change) => {
  const path = await written(change(linesOf({ users: ['{"a":1}', '{"a":2}'], more: ['{"a":5}'] })))
  const refused = expect(readTables(path)).rejects
  await refused.toThrow(/is damaged/)
})

test('bytes that are no gzip stream are refused, whatever their checksum', async () => {
  const begin = Buffer.concat([Buffer.from(firstLine(1)), Buffer.from('no gzip')])
  const path = newPath()
  const sha256 = createHash('sha256').update(begin).digest('hex')
  await writeFile(path, Buffer.concat([begin, Buffer.from(lastLine(sha256))]))
  await expect(openArchive(path)).rejects.toThrow(/is damaged/)
  expect(lastLine(sha256)).toHaveLength(lastLineBytes)
})

test('what is there is never overwritten, whenever it came', async () => {
  const path = newPath()
  await writeFile(path, 'precious')
  await expect(writeArchive(path, each([]), never)).rejects.toThrow(/is there already/)
  const late = newPath()
  async function* slowly() {
    yield headerOf({})
    await writeFile(late, 'precious')
    yield formatLine({ type: 'close', rows: 0 })
  }
  await expect(writeArchive(late, slowly(), never)).rejects.toThrow(/is there already/)
  for (const file of [path, late]) expect(await readFile(file, 'utf8')).toBe('precious')
  expect((await readdir(folder)).filter((name) => name.endsWith('.partial'))).toEqual([])
})

test('interrupted or failed, it leaves no file', async () => {
  const abort = new AbortController()
  async function* interrupted() {
    yield headerOf({})
    abort.abort(new Error('stopping'))
    yield formatLine({ type: 'close', rows: 0 })
  }
  const path = newPath()
  await expect(writeArchive(path, interrupted(), abort.signal)).rejects.toThrow()
  async function* failing() {
    yield headerOf({})
    throw new Error('the database went away')
  }
  await expect(writeArchive(path, failing(), never)).rejects.toThrow('the database went away')
  expect((await readdir(folder)).filter((name) => name.startsWith(basename(path)))).toEqual([])
  await expect(stat(path)).rejects.toThrow('ENOENT')
})

test.skipIf(process.getuid?.() === 0)('a place that can’t be written is told', async () => {
  const closed = await mkdtemp(join(folder, 'closed-'))
  await chmod(closed, 0o500)
  await expect(writeArchive(join(closed, 'x'), each([]), never)).rejects.toBeInstanceOf(StartError)
})
