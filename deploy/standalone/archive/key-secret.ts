import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { deriveKeys, unseal } from '@parley/chat-service/accounts/key-secret'
import type { Sql } from '@parley/platform/ports/database'
import { StartError } from '@parley/platform/process/start-error'
import { type ArchivedKeySecret, keySecretCheck } from './format.ts'

const notTheOne =
  'PARLEY_KEY_SECRET is not the one under which the signing keys were sealed: set it as Parley runs with'

/** What an archive says of the secret: `given` by PARLEY_KEY_SECRET, else the one kept in the data folder. */
export async function keySecretToArchive(
  sql: Sql,
  dataDir: string,
  given: string | undefined,
): Promise<ArchivedKeySecret> {
  const secret =
    given ?? (await readFile(join(dataDir, 'key-secret'), 'utf8').catch(() => '')).trim()
  if (secret === '' || !(await opensKeys(sql, secret))) throw new StartError(notTheOne)
  return given === undefined ? { secret } : { check: keySecretCheck(secret) }
}

async function opensKeys(sql: Sql, secret: string): Promise<boolean> {
  const keys = await sql.query<{ kid: string; private_key: Buffer }>(
    'select kid, private_key from signing_keys where retired_at is null',
  )
  const { signingKeys } = deriveKeys(secret)
  return keys.every(({ kid, private_key }) => unseal(signingKeys, kid, private_key) !== undefined)
}

/** The secret to keep in the new data folder; undefined when PARLEY_KEY_SECRET is set, and then it must be the same. */
export function keySecretToKeep(
  archived: ArchivedKeySecret,
  given: string | undefined,
): string | undefined {
  if (given === undefined) {
    if ('secret' in archived) return archived.secret
    throw new StartError(
      'the backup was made where PARLEY_KEY_SECRET was set, and does not hold it: set it as it was there',
    )
  }
  const check = 'secret' in archived ? keySecretCheck(archived.secret) : archived.check
  if (keySecretCheck(given) !== check) throw new StartError(notTheOne)
  return undefined
}
