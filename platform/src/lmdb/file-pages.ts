import { readSync } from 'node:fs'

/** `MDB_page_header` in mdb.c of lmdb 3.5: page number 8, transaction 8, pad 2, flags 2, end of pointers 2, … */
export const headerBytes = 24
const flagsAt = 18
const pointersEndAt = 20
const branchPage = 1
const leafPage = 2

/** `MDB_node`: data size or child page 4, flags (or the child's upper bits) 2, key size 2, key, data. */
const nodeBytes = 8
const bigData = 1
const subTree = 2
/** Where `MDB_db` keeps the root of a named database, and how long it is. */
const subTreeRootAt = 40
const subTreeBytes = 48

/** The root's page, or all ones for an empty tree. */
export type TreeRoot = bigint
const noRoot = 0xffff_ffff_ffff_ffffn

interface PagedFile {
  fd: number
  pageBytes: number
  pages: number
}

/**
 * Walks the trees, at most `maxPages` of their pages: each page must lie within the file, bear its own number and have
 * a shape that can be read; each long value must lie within the file. What values hold is for their checksums to say.
 */
export function faultOfTrees(
  file: PagedFile,
  roots: readonly TreeRoot[],
  maxPages: number,
): string | null {
  const open = roots.filter((root) => root !== noRoot).map(Number)
  const page = Buffer.alloc(file.pageBytes)
  for (let seen = 0; open.length > 0 && seen < maxPages; seen++) {
    const number = open.pop() as number
    if (number >= file.pages) return `is cut off: page ${number} of ${file.pages} is missing`
    readSync(file.fd, page, 0, file.pageBytes, number * file.pageBytes)
    const fault = followPage(page, { number, file, open })
    if (fault !== null) return fault
  }
  return null
}

/** Adds the pages that this one points to. */
function followPage(
  page: Buffer,
  at: { number: number; file: PagedFile; open: number[] },
): string | null {
  const damaged = `has a damaged page ${at.number}`
  const flags = page.readUInt16LE(flagsAt)
  if (Number(page.readBigUInt64LE(0)) !== at.number) return damaged
  if ((flags & (branchPage | leafPage)) === 0) return damaged
  const pointersEnd = headerBytes + page.readUInt16LE(pointersEndAt)
  if (pointersEnd > page.length) return damaged
  for (let pointer = headerBytes; pointer < pointersEnd; pointer += 2) {
    const node = headerBytes + page.readUInt16LE(pointer)
    if (node + nodeBytes > page.length) return damaged
    if (flags & branchPage) {
      at.open.push(page.readUIntLE(node, 6))
      continue
    }
    const data = node + nodeBytes + page.readUInt16LE(node + 6)
    const nodeFlags = page.readUInt16LE(node + 4)
    if (nodeFlags & bigData) {
      if (data + 24 > page.length) return damaged
      const end = Number(page.readBigUInt64LE(data)) + Number(page.readBigUInt64LE(data + 16))
      if (end > at.file.pages) return `is cut off: page ${end - 1} of ${at.file.pages} is missing`
    } else if (nodeFlags & subTree) {
      if (data + subTreeBytes > page.length) return damaged
      const root = page.readBigUInt64LE(data + subTreeRootAt)
      if (root !== noRoot) at.open.push(Number(root))
    }
  }
  return null
}
