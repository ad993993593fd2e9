import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createTestBed, query } from './embedded-test-bed.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

const bed = createTestBed({ afterAll, afterEach, beforeAll, beforeEach }, { shared: true })
const inFolder = (...path: string[]) => join(bed.base, 'postgres', ...path)

type Mend = () => Promise<unknown>

/** Takes a file or folder away; what it returns brings it back. */
async function without(...path: string[]): Promise<Mend> {
  const aside = join(bed.base, 'aside')
  await rename(inFolder(...path), aside)
  return async () => {
    await rm(inFolder(...path), { recursive: true, force: true })
    await rename(aside, inFolder(...path))
  }
}

async function replaced(content: string | Buffer, ...path: string[]): Promise<Mend> {
  const before = await readFile(inFolder(...path))
  // In place, so that its owner stays.
  await writeFile(inFolder(...path), content)
  return () => writeFile(inFolder(...path), before)
}

async function added(content: string, ...path: string[]): Promise<Mend> {
  await writeFile(inFolder(...path), content)
  return () => rm(inFolder(...path))
}

describe('a data folder that can not be used is refused in one sentence, and left as it is', () => {
  async function contents(): Promise<string[]> {
    const names = await readdir(inFolder(), { recursive: true })
    return names.filter((name) => !name.startsWith('lock-')).sort()
  }

  test.each<[string, () => Promise<Mend>, RegExp]>([
    [
      'without PG_VERSION',
      () => without('data', 'PG_VERSION'),
      /is damaged \(PG_VERSION is missing\)/,
    ],
    [
      'of another version',
      () => replaced('17\n', 'data', 'PG_VERSION'),
      /was made by PostgreSQL 17, and this Parley brings 18/,
    ],
    [
      'without pg_control',
      () => without('data', 'global', 'pg_control'),
      /is damaged \(global\/pg_control is missing\)/,
    ],
    [
      'with a pg_control of zeros',
      () => replaced(Buffer.alloc(8_192), 'data', 'global', 'pg_control'),
      /does not start/,
    ],
    ['without its WAL', () => without('data', 'pg_wal'), /does not start/],
    ['without its password', () => without('password'), /password is missing/],
    [
      'that is a file',
      async () => {
        const mend = await without('data')
        await writeFile(inFolder('data'), 'precious')
        return mend
      },
      /is damaged \(it is no folder\)/,
    ],
    [
      'that points nowhere',
      () => added('{"database":"/nowhere/at/all"}', 'location.json'),
      /lies in \/nowhere\/at\/all, which is not there/,
    ],
    ['with a damaged pointer', () => added('{"data', 'location.json'), /location\.json is damaged/],
  ])('one %s', async (_, damage, sentence) => {
    const mend = await damage()
    try {
      const before = await contents()
      expect(await bed.refusal()).toMatch(sentence)
      expect(await contents()).toEqual(before)
    } finally {
      await mend()
    }
  })

  test('the same folder, mended, starts', async () => {
    expect(await query(await bed.start(), 'select 1 as one')).toEqual([{ one: 1 }])
  })
})

test('a start that was killed while it made the database leaves nothing that hinders the next', async () => {
  await rm(inFolder('data'), { recursive: true })
  await mkdir(inFolder('init-0a1b2c3d', 'data'), { recursive: true })
  await writeFile(inFolder('init-0a1b2c3d', 'data', 'PG_VERSION'), '18\n')
  await writeFile(inFolder('password'), 'of a database that never was\n')
  expect(await query(await bed.start(), 'select 1 as one')).toEqual([{ one: 1 }])
  expect(await readdir(inFolder())).not.toContain('init-0a1b2c3d')
})
