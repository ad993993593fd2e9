import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { faultOfTrees, headerBytes, type TreeRoot } from './file-pages.ts'

/**
 * Where the fields of LMDB's first pages lie: version 2 of the file as lmdb 3.5 writes it on a 64-bit machine
 * (`MDB_meta` in its mdb.c, after the page's header). The newer of the first two pages counts.
 */
const field = {
  magic: headerBytes,
  version: headerBytes + 4,
  pageBytes: headerBytes + 24,
  freeRoot: headerBytes + 64,
  mainRoot: headerBytes + 112,
  lastPage: headerBytes + 120,
  transaction: headerBytes + 128,
  end: headerBytes + 144,
} as const
const magic = 0xbeefc0de
const dataVersion = 2

/** 100 MB of pages of 4 KiB, which takes about 0.2 s. */
const pagesLookedAt = 25_000

interface Meta {
  pageBytes: number
  lastPage: number
  transaction: bigint
  roots: TreeRoot[]
}

/**
 * Looks at a file before LMDB maps it: LMDB trusts its pages, and the process dies where one is damaged or lies past
 * the end of the file. Null when it may be opened, else what is wrong. Reads only.
 */
export function faultOfFile(file: string): string | null {
  const fd = openSync(file, 'r')
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      const meta = newestMeta(fd)
      if (typeof meta === 'string') return meta
      const fault = faultOfPages(fd, meta)
      if (fault === null) return null
      // Pages change under the walk while another process writes; then there is a newer transaction.
      const now = newestMeta(fd)
      if (typeof now === 'string' || now.transaction === meta.transaction) return fault
    }
    return 'is being written by another process'
  } finally {
    closeSync(fd)
  }
}

function newestMeta(fd: number): Meta | string {
  const first = readMeta(fd, 0)
  if (typeof first === 'string') return first
  const second = readMeta(fd, first.pageBytes)
  if (typeof second === 'string') return second
  return second.transaction > first.transaction ? second : first
}

function faultOfPages(fd: number, { pageBytes, lastPage, roots }: Meta): string | null {
  const pages = Math.floor(fstatSync(fd).size / pageBytes)
  // A whole file may be shorter than its last page says, when that page is free; then all of its pages are looked at.
  const maxPages = pages > lastPage ? pagesLookedAt : Number.POSITIVE_INFINITY
  return faultOfTrees({ fd, pageBytes, pages }, roots, maxPages)
}

function readMeta(fd: number, at: number): Meta | string {
  const page = Buffer.alloc(field.end)
  const read = readSync(fd, page, 0, field.end, at)
  if (read === 0 && at === 0) return 'is empty'
  if (read < field.end) return 'is cut off within its first pages'
  if (page.readUInt32LE(field.magic) !== magic) return 'is not an LMDB file'
  const version = page.readUInt32LE(field.version) & 0xffff
  if (version !== dataVersion) return `is an LMDB file of version ${version}, not ${dataVersion}`
  const pageBytes = page.readUInt32LE(field.pageBytes)
  if (pageBytes < 256 || pageBytes > 65_536) return `has pages of ${pageBytes} bytes`
  return {
    pageBytes,
    lastPage: Number(page.readBigUInt64LE(field.lastPage)),
    transaction: page.readBigUInt64LE(field.transaction),
    roots: [page.readBigUInt64LE(field.freeRoot), page.readBigUInt64LE(field.mainRoot)],
  }
}
