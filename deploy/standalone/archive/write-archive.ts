import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, link, open, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { StartError } from '@parley/platform/process/start-error'
import { syncFolder } from '@parley/platform/process/write-durably'
import { archiveVersion, firstLine, lastLine } from './format.ts'

/**
 * Writes the lines of an archive to `path`, readable by its owner only. What is there is never overwritten, and the file
 * is there once it is whole and on disk, not before. Returns its size. Rejects with StartError when it can't be written.
 */
export async function writeArchive(
  path: string,
  lines: AsyncIterable<string>,
  signal: AbortSignal,
): Promise<{ bytes: number }> {
  await refuseExisting(path)
  const draft = `${path}.${randomBytes(4).toString('hex')}.partial`
  const file = await open(draft, 'wx', 0o600).catch((error: Error) => {
    throw new StartError(`the backup can't be written: ${error.message}`)
  })
  try {
    const bytes = await writeAll(file, lines, signal)
    await file.sync()
    await publish(draft, path)
    return { bytes }
  } finally {
    await file.close()
    await rm(draft, { force: true })
  }
}

/** Before the work begins; `publish` refuses as well. */
export async function refuseExisting(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined)
  if (there !== undefined) throw alreadyThere(path)
}

async function writeAll(
  file: FileHandle,
  lines: AsyncIterable<string>,
  signal: AbortSignal,
): Promise<number> {
  const digest = createHash('sha256')
  let bytes = 0
  const write = async (chunk: Buffer) => {
    digest.update(chunk)
    bytes += chunk.length
    await file.writeFile(chunk)
  }
  await write(Buffer.from(firstLine(archiveVersion)))
  await pipeline(
    Readable.from(lines),
    createGzip(),
    async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) await write(chunk)
    },
    { signal },
  )
  await write(Buffer.from(lastLine(digest.copy().digest('hex'))))
  return bytes
}

/** A link, unlike a rename, never takes the place of a file. */
async function publish(draft: string, path: string): Promise<void> {
  try {
    await link(draft, path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw alreadyThere(path)
    throw new StartError(`the backup can't be put at ${path}: ${message}`)
  }
  await syncFolder(dirname(path))
}

function alreadyThere(path: string): StartError {
  return new StartError(`${path} is there already: choose another name, nothing is overwritten`)
}
