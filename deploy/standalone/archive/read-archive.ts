import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { StartError } from '@parley/platform/process/start-error'
import {
  type ArchiveHeader,
  type ArchiveLine,
  archiveVersion,
  firstLine,
  firstLinePattern,
  lastLineBytes,
  lastLinePattern,
  lineBytesMax,
} from './format.ts'

/** Rows of one table, as JSON texts. */
export interface Rows {
  table: string
  rows: string[]
}

export interface Archive {
  readonly header: ArchiveHeader
  /**
   * The rows in the archive's order, a few at a time. Ends only when every count and checksum was right; rejects with
   * StartError else.
   */
  rows(): AsyncGenerator<Rows>
  close(): Promise<void>
}

const readBytes = 256 * 1024
const batchRows = 256
const batchBytes = 1024 * 1024

/** Resolves when the file's checksum is right; rejects with StartError, one sentence, when it is no whole backup of ours. */
export async function openArchive(path: string): Promise<Archive> {
  const unreadable = (error: Error) => {
    if (error instanceof StartError) throw error
    throw new StartError(`the backup can't be read: ${error.message}`)
  }
  const file = await open(path).catch(unreadable)
  try {
    const content = await checkFile(path, file).catch(unreadable)
    const lines = archiveLines(path, file, content)
    const first = await lines.next()
    await lines.return(undefined)
    if (first.done || first.value.type !== 'header') throw damaged(path, 'it has no header')
    return {
      header: first.value,
      rows: () => readRows(path, archiveLines(path, file, content)),
      close: () => file.close(),
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Where the gzip stream lies in the file. */
interface Content {
  start: number
  /** Its last byte. */
  end: number
}

async function checkFile(path: string, file: FileHandle): Promise<Content> {
  const { size } = await file.stat()
  const begin = await readAt(file, 0, 32)
  const version = firstLinePattern.exec(begin)?.[1]
  if (version === undefined)
    throw new StartError(`${path} is no backup of Parley, or it is damaged`)
  if (Number(version) !== archiveVersion) {
    throw new StartError(
      `the backup ${path} has the form ${version}, and this Parley reads ${archiveVersion}: restore it with the Parley that made it`,
    )
  }
  const content = { start: firstLine(archiveVersion).length, end: size - lastLineBytes - 1 }
  const trailer = await readAt(file, Math.max(0, size - lastLineBytes), lastLineBytes)
  const wanted = lastLinePattern.exec(trailer)?.[1]
  if (wanted === undefined || content.end < content.start) throw damaged(path, 'its end is missing')
  const digest = createHash('sha256')
  for await (const chunk of bytesOf(file, { start: 0, end: content.end })) digest.update(chunk)
  if (digest.digest('hex') !== wanted) throw damaged(path, 'its checksum is wrong')
  return content
}

async function readAt(file: FileHandle, position: number, length: number): Promise<string> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position)
  return buffer.toString('latin1', 0, bytesRead)
}

async function* bytesOf(file: FileHandle, { start, end }: Content): AsyncGenerator<Buffer> {
  for (let at = start; at <= end; ) {
    const wanted = Math.min(readBytes, end - at + 1)
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}

type ReadLine = ArchiveLine | { type: 'row'; line: Buffer }

async function* archiveLines(
  path: string,
  file: FileHandle,
  content: Content,
): AsyncGenerator<ReadLine> {
  const source = Readable.from(bytesOf(file, content))
  const gunzip = createGunzip()
  source.on('error', (error) => gunzip.destroy(error))
  try {
    for await (const line of splitLines(source.pipe(gunzip))) {
      yield line[0] === 0x23
        ? (JSON.parse(line.toString('utf8', 1)) as ArchiveLine)
        : { type: 'row', line }
    }
  } catch (error) {
    throw error instanceof StartError ? error : damaged(path, (error as Error).message)
  } finally {
    source.destroy()
    gunzip.destroy()
  }
}

async function* splitLines(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of stream) {
    let from = 0
    for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, from)) {
      const line = chunk.subarray(from, at)
      yield rest.length === 0 ? line : Buffer.concat([rest, line])
      rest = Buffer.alloc(0)
      from = at + 1
    }
    rest = Buffer.concat([rest, chunk.subarray(from)])
    if (rest.length > lineBytesMax) throw new Error('a line is too long')
  }
  if (rest.length > 0) throw new Error('its last line is cut')
}

async function* readRows(path: string, lines: AsyncGenerator<ReadLine>): AsyncGenerator<Rows> {
  const check = createTableChecks(path)
  let batch: Rows | undefined
  let bytes = 0
  for await (const read of lines) {
    if (read.type !== 'row') {
      if (batch !== undefined) yield batch
      batch = undefined
      check.line(read)
      continue
    }
    const table = check.row(read.line)
    batch ??= { table, rows: [] }
    batch.rows.push(read.line.toString('utf8'))
    bytes += read.line.length
    if (batch.rows.length < batchRows && bytes < batchBytes) continue
    yield batch
    batch = undefined
    bytes = 0
  }
  check.ended()
}

/** Follows an archive line by line, and throws where it is not as it was written. */
function createTableChecks(path: string) {
  const expected: string[] = []
  let open: { name: string; rows: number; digest: ReturnType<typeof createHash> } | undefined
  let begun = false
  let closed = false
  let total = 0

  function end(line: ArchiveLine & { type: 'end' }): void {
    if (open?.name !== line.name || open.rows !== line.rows) {
      throw damaged(path, `${line.name} has another number of rows`)
    }
    if (open.digest.digest('hex') !== line.sha256) {
      throw damaged(path, `the checksum of ${line.name} is wrong`)
    }
    total += open.rows
    open = undefined
  }

  return {
    line(line: ArchiveLine): void {
      if (begun === (line.type === 'header') || closed) throw damaged(path, 'it is out of order')
      switch (line.type) {
        case 'header':
          begun = true
          expected.push(...line.tables.map((table) => table.name))
          return
        case 'table':
          if (open !== undefined || expected.shift() !== line.name) {
            throw damaged(path, 'its tables are out of order')
          }
          open = { name: line.name, rows: 0, digest: createHash('sha256') }
          return
        case 'end':
          end(line)
          return
        case 'close':
          closed = true
          if (open === undefined && expected.length === 0 && line.rows === total) return
          throw damaged(path, 'a table is missing')
        default:
          throw damaged(path, 'it has a line of an unknown kind')
      }
    },
    /** The row's table. */
    row(line: Buffer): string {
      if (open === undefined || closed) throw damaged(path, 'a row stands outside of its table')
      open.rows += 1
      open.digest.update(line).update('\n')
      return open.name
    },
    ended(): void {
      if (!closed) throw damaged(path, 'its end is missing')
    },
  }
}

function damaged(path: string, why: string): StartError {
  return new StartError(`the backup ${path} is damaged (${why}): use another copy`)
}
