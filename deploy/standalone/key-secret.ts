import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '@parley/platform/process/start-error'
import { writeDurably } from '@parley/platform/process/write-durably'

/**
 * The secret that seals signing keys: the one that was set, else one made once and kept in the data folder, readable by
 * its owner only. Whoever copies the folder has it too; set PARLEY_KEY_SECRET where that matters.
 */
export async function keySecretOf(dataDir: string, given: string | undefined): Promise<string> {
  if (given !== undefined) return given
  const path = join(dataDir, 'key-secret')
  try {
    const kept = (await readFile(path, 'utf8')).trim()
    if (kept.length < 32)
      throw new StartError(`${path} is damaged: it must hold 32 characters or more`)
    return kept
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const made = randomBytes(32).toString('hex')
  await writeDurably(path, `${made}\n`, 0o600)
  return made
}
