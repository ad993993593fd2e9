import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deriveKeys, seal } from '@parley/chat-service/accounts/key-secret'
import type { Sql } from '@parley/platform/ports/database'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keySecretToArchive, keySecretToKeep } from './key-secret.ts'

const secret = 'the secret that sealed the keys, 32 and more'
const other = 'another secret, just as long as that other one'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'parley-secret-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Signing keys as they lie in the database. */
const rows = ['first', 'second'].map((kid) => ({
  kid,
  private_key: seal(deriveKeys(secret).signingKeys, kid, Buffer.from('private')),
}))
const sql: Sql = { query: async <Row>() => rows as Row[] }

test('the secret kept in the data folder goes into the archive, and out of it into the new one', async () => {
  await writeFile(join(folder, 'key-secret'), `${secret}\n`)
  const archived = await keySecretToArchive(sql, folder, undefined)
  expect(archived).toEqual({ secret })
  expect(keySecretToKeep(archived, undefined)).toBe(secret)
})

test('one set by PARLEY_KEY_SECRET stays out of the archive, and has to be set for the restore', async () => {
  const archived = await keySecretToArchive(sql, folder, secret)
  expect(JSON.stringify(archived)).not.toContain(secret)
  expect(keySecretToKeep(archived, secret)).toBeUndefined()
  expect(() => keySecretToKeep(archived, undefined)).toThrow(/does not hold it: set it/)
  expect(() => keySecretToKeep(archived, other)).toThrow(/is not the one/)
})

test('a secret that does not open the signing keys is refused by a backup and by a restore', async () => {
  await expect(keySecretToArchive(sql, folder, other)).rejects.toThrow(/is not the one/)
  await writeFile(join(folder, 'key-secret'), `${other}\n`)
  await expect(keySecretToArchive(sql, folder, undefined)).rejects.toThrow(/is not the one/)
  await rm(join(folder, 'key-secret'))
  await expect(keySecretToArchive(sql, folder, undefined)).rejects.toThrow(/is not the one/)
  expect(() => keySecretToKeep({ secret }, other)).toThrow(/is not the one/)
  expect(keySecretToKeep({ secret }, secret)).toBeUndefined()
})
