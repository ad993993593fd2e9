import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/**
 * Where the fields of LMDB's page of truth lie: version 2 of the file as lmdb 3.5 writes it on a 64-bit machine
 * (`MDB_page_header` and `MDB_meta` in its mdb.c). The newer of the first two pages counts.
 */
const meta = { magic: 24, version: 28, pageBytes: 48, lastPage: 144, transaction: 152, end: 168 }
const magic = 0xbeefc0de
const dataVersion = 2

interface MetaPage {
  pageBytes: number
  lastPage: number
  transaction: bigint
}

/**
 * Looks at a file before LMDB maps it, because LMDB dies of SIGBUS where a page lies past the end of the file. Null
 * when it may be opened, else what is wrong. Reads only.
 */
export function faultOfFile(file: string): string | null {
  const fd = openSync(file, 'r')
  try {
    const first = readMeta(fd, 0)
    if (typeof first === 'string') return first
    const second = readMeta(fd, first.pageBytes)
    if (typeof second === 'string') return second
    const { lastPage } = second.transaction > first.transaction ? second : first
    const wanted = (lastPage + 1) * first.pageBytes
    const { size } = fstatSync(fd)
    if (size < wanted) return `is cut off: ${size} bytes of ${wanted}`
    return null
  } finally {
    closeSync(fd)
  }
}

function readMeta(fd: number, at: number): MetaPage | string {
  const page = Buffer.alloc(meta.end)
  const read = readSync(fd, page, 0, meta.end, at)
  if (read === 0 && at === 0) return 'is empty'
  if (read < meta.end) return 'is cut off within its first pages'
  if (page.readUInt32LE(meta.magic) !== magic) return 'is not an LMDB file'
  const version = page.readUInt32LE(meta.version) & 0xffff
  if (version !== dataVersion) return `is an LMDB file of version ${version}, not ${dataVersion}`
  return {
    pageBytes: page.readUInt32LE(meta.pageBytes),
    lastPage: Number(page.readBigUInt64LE(meta.lastPage)),
    transaction: page.readBigUInt64LE(meta.transaction),
  }
}
