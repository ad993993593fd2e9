import { createHash } from 'node:crypto'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join, relative } from 'node:path'

/** SHA-256 of every file and link in a folder by relative path: equal only when nothing was written over or removed. */
export async function folderHash(folder: string): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {}
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(folder, path)
    if (entry.isSymbolicLink()) hashes[name] = `-> ${await readlink(path)}`
    else if (entry.isFile()) {
      hashes[name] = createHash('sha256')
        .update(await readFile(path))
        .digest('hex')
    }
  }
  return hashes
}
