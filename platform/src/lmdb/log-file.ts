import { randomUUID } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { LogUnusable } from '@parley/platform/ports/log'
import { type Database, open, type RootDatabase, type RootDatabaseOptionsWithPath } from 'lmdb'
import { faultOfFile } from './file-check.ts'

export type Root = RootDatabase<Buffer, Buffer>
/** lmdb's types leave out the form of `put` that refuses a key which is not above the last one. */
export type Store = Database<Buffer, Buffer> & {
  put(key: Buffer, value: Buffer, options: { append: true }): Promise<boolean>
}

/** An opened, checked log file. */
export interface LogFile {
  readonly root: Root
  readonly epoch: string
  readonly meta: Store
  readonly offsets: Store
  records(topic: string, partition: number): Store
  close(): Promise<void>
}

export interface LogFileOptions {
  /** The log's own folder, made when missing. */
  path: string
  topics: Readonly<Record<string, number>>
  /** How much address space to take at once; the map grows beyond it by itself. */
  mapSizeBytes?: number
}

interface Stored {
  format: number
  epoch: string
  /** Partitions of each topic. */
  topics: Record<string, number>
}

const format = 1
const storedKey = Buffer.from('log')
const binary = { encoding: 'binary', keyEncoding: 'binary' } as const

/** Logs open in this process, which LMDB's table of readers can't tell apart. */
const openHere = new Set<string>()

/** Rejects with LogUnusable, leaving everything as it was. */
export async function openLogFile(options: LogFileOptions): Promise<LogFile> {
  const file = join(options.path, 'log.mdb')
  try {
    mkdirSync(options.path, { recursive: true })
    if (!existsSync(file)) await createLogFile(options, file)
    return await openExisting(options, file)
  } catch (error) {
    if (error instanceof LogUnusable) throw error
    throw new LogUnusable(`the log ${file} cannot be opened: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/**
 * Made under another name and renamed, so that `log.mdb` is whole from its first moment and an empty or cut off one
 * is never taken for new.
 */
async function createLogFile(options: LogFileOptions, file: string): Promise<void> {
  const unfinished = join(options.path, 'new.mdb')
  const remove = () => {
    for (const name of [unfinished, `${unfinished}-lock`]) rmSync(name, { force: true })
  }
  remove()
  const root = openRoot({ ...options, mapSizeBytes: 0 }, unfinished, 8)
  const meta = root.openDB({ name: 'meta', ...binary })
  const stored: Stored = { format, epoch: randomUUID(), topics: { ...options.topics } }
  await meta.put(storedKey, Buffer.from(JSON.stringify(stored)))
  await root.close()
  renameSync(unfinished, file)
  remove()
  syncFolder(options.path)
  syncFolder(dirname(options.path))
}

/** A new file is safe from a crash of the machine only when its folder is synced too. Windows has no such call. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/**
 * Without `overlappingSync`, lmdb-js's default: with it a transaction is visible before it is synced, stays visible when
 * the sync fails, and only `flushed` is documented to wait for the disk. Without it `mdb_txn_commit` writes the pages,
 * calls fdatasync, then writes the page that makes them valid through a descriptor opened with O_DSYNC; only after that
 * is the transaction visible and its promise resolved. `log.test.ts` sees this order with strace.
 */
function openRoot(options: LogFileOptions, file: string, databases: number): Root {
  const settings: RootDatabaseOptionsWithPath & { txnStartThreshold: number } = {
    path: file,
    noSubdir: true,
    overlappingSync: false,
    // Each write of ours is a batch of its own already.
    eventTurnBatching: false,
    txnStartThreshold: 1,
    maxDbs: databases,
    ...(options.mapSizeBytes ? { mapSize: options.mapSizeBytes } : {}),
    ...binary,
  }
  return open<Buffer, Buffer>(settings)
}

async function openExisting(options: LogFileOptions, file: string): Promise<LogFile> {
  const fault = faultOfFile(file)
  if (fault !== null) throw new LogUnusable(`the log ${file} ${fault}`)
  const real = realpathSync(file)
  if (openHere.has(real)) throw new LogUnusable(`the log ${file} is already open in this process`)
  openHere.add(real)

  let root: Root | null = null
  const close = async () => {
    await root?.close()
    openHere.delete(real)
  }
  try {
    const partitions = Object.values(options.topics).reduce((sum, count) => sum + count, 0)
    root = openRoot(options, file, partitions + 64)
    const meta = openStore(root, 'meta', false)
    if (meta === undefined) throw new LogUnusable(`the file ${file} is not a log of Parley`)
    const stored = readStored(meta, file)
    refuseSecondProcess(root, file)
    await adoptTopics({ options, file, meta, stored })
    return logFile(root, { meta, stored, close })
  } catch (error) {
    await close()
    throw error
  }
}

function openStore(root: Root, name: string, create: boolean): Store | undefined {
  const settings: { name: string } & typeof binary & { create: boolean } = {
    name,
    create,
    ...binary,
  }
  return root.openDB<Buffer, Buffer>(settings) as Store | undefined
}

function logFile(
  root: Root,
  parts: { meta: Store; stored: Stored; close(): Promise<void> },
): LogFile {
  return {
    root,
    epoch: parts.stored.epoch,
    meta: parts.meta,
    offsets: openStore(root, 'offsets', true) as Store,
    records: (topic, partition) => openStore(root, `records/${topic}/${partition}`, true) as Store,
    close: parts.close,
  }
}

function readStored(meta: Store, file: string): Stored {
  const bytes = meta.getBinary(storedKey)
  let stored: Partial<Stored> = {}
  try {
    stored = JSON.parse(bytes?.toString() ?? '{}') as Partial<Stored>
  } catch {
    // told below
  }
  if (stored.format !== format) {
    throw new LogUnusable(
      `the log ${file} has format ${stored.format}, this release reads format ${format}`,
    )
  }
  if (typeof stored.epoch !== 'string' || typeof stored.topics !== 'object') {
    throw new LogUnusable(`the log ${file} does not tell its epoch and topics`)
  }
  return stored as Stored
}

/**
 * Every process that has read the file stands in LMDB's table of readers, kept by locks that end with the process.
 * We have read, so of two that open at once at least one sees the other.
 */
function refuseSecondProcess(root: Root, file: string): void {
  root.readerCheck()
  for (const [, pid] of root.readerList().matchAll(/^\s*(\d+)\s/gm)) {
    if (Number(pid) !== process.pid) {
      throw new LogUnusable(`the log ${file} is in use by process ${pid}`)
    }
  }
}

async function adoptTopics(parts: {
  options: LogFileOptions
  file: string
  meta: Store
  stored: Stored
}): Promise<void> {
  const { options, file, meta, stored } = parts
  let added = false
  for (const [topic, partitions] of Object.entries(options.topics)) {
    const before = stored.topics[topic]
    if (before === undefined) {
      stored.topics[topic] = partitions
      added = true
    } else if (before !== partitions) {
      throw new LogUnusable(
        `the log ${file} has ${before} partitions of ${topic}, ${partitions} are configured (PARLEY_PARTITIONS): another number needs a new log`,
      )
    }
  }
  if (added) await meta.put(storedKey, Buffer.from(JSON.stringify(stored)))
}
