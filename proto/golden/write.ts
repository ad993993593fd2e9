import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { goldenFiles } from './files.ts'

/** `node proto/golden/write.ts`: makes all golden bytes anew. What it changes is a change of the contract. */
const folder = import.meta.dirname
for (const part of ['client', 'server', 'also', 'bad']) {
  await rm(join(folder, part), { recursive: true, force: true })
}
for (const [path, bytes] of goldenFiles()) {
  const file = join(folder, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, bytes)
}
