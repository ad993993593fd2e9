import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lockDataFolder } from '@parley/platform/process/data-folder'
import { StartError } from '@parley/platform/process/start-error'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { takeNewFolder } from './restore-folder.ts'

let parent: string
let folders = 0
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'parley-restore-'))
})
afterAll(() => rm(parent, { recursive: true, force: true }))

const newPath = () => join(parent, `folder-${++folders}`)
const contents = async (path: string) =>
  (await readdir(path)).filter((name) => !name.endsWith('.sock'))

test.each(['that is not there', 'that is empty'])(
  'a folder %s becomes a data folder in one step',
  async (which) => {
    const path = newPath()
    if (which === 'that is empty') await mkdir(path)
    const folder = await takeNewFolder(path)
    expect(await contents(path)).toEqual(['restore-unfinished.json'])
    await expect(lockDataFolder(path)).rejects.toThrow(/holds something else/)
    await folder.finish()
    await folder.release()
    expect(await contents(path)).toEqual(['parley.json'])
    expect((await stat(path)).mode & 0o777).toBe(0o700)
    const lock = await lockDataFolder(path)
    await lock.release()
  },
)

test('an unfinished one is refused by every start and every restore', async () => {
  const path = newPath()
  const folder = await takeNewFolder(path)
  await folder.release()
  await expect(takeNewFolder(path)).rejects.toThrow(/did not finish/)
  await expect(lockDataFolder(path)).rejects.toBeInstanceOf(StartError)
  expect(await contents(path)).toEqual(['restore-unfinished.json'])
})

test('what is in a folder stays: data, and anything else', async () => {
  const used = newPath()
  await (await lockDataFolder(used)).release()
  const foreign = newPath()
  await mkdir(foreign)
  await writeFile(join(foreign, 'precious'), '')
  const file = newPath()
  await writeFile(file, '')
  for (const path of [used, foreign]) {
    const before = await contents(path)
    await expect(takeNewFolder(path)).rejects.toThrow(/is not empty/)
    expect(await contents(path)).toEqual(before)
  }
  await expect(takeNewFolder(file)).rejects.toBeInstanceOf(StartError)
})

test('of two restores into one folder, one is refused', async () => {
  const path = newPath()
  const both = await Promise.allSettled([takeNewFolder(path), takeNewFolder(path)])
  const taken = both.filter((result) => result.status === 'fulfilled')
  const refused = both.filter((result) => result.status === 'rejected')
  expect([taken.length, refused.length]).toEqual([1, 1])
  expect(refused[0]?.reason).toBeInstanceOf(StartError)
  await taken[0]?.value.release()
})
