import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { lockDataFolder } from './data-folder.ts'
import { lockFolder } from './folder-lock.ts'
import { StartError } from './start-error.ts'

const holder = fileURLToPath(new URL('./fixtures/hold-folder.ts', import.meta.url))
let base = ''
const children = new Set<ChildProcess>()

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'parley-folder-'))
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await rm(base, { recursive: true, force: true })
})

/** Starts a process that wants the folder; resolves with what it says first. */
async function other(folder: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, [holder, folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.add(child)
  const [chunk] = await once(child.stdout, 'data')
  return { child, said: String(chunk).trim() }
}

async function killed(child: ChildProcess): Promise<void> {
  const end = once(child, 'exit')
  child.kill('SIGKILL')
  await end
}

async function refusal(folder: string): Promise<string> {
  const error = await lockDataFolder(folder).then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(StartError)
  expect(error.message).not.toContain('\n')
  return error.message
}

describe('lockDataFolder', () => {
  test('makes a folder for its owner only and marks it as ours', async () => {
    const folder = join(base, 'a', 'b')
    const lock = await lockDataFolder(folder)
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    expect(JSON.parse(await readFile(join(folder, 'parley.json'), 'utf8'))).toEqual({ format: 1 })
    await lock.release()
    await (await lockDataFolder(folder)).release()
  })

  test('refuses a folder that another living process has, and lets it go when that one is killed', async () => {
    const folder = join(base, 'data')
    const first = await other(folder)
    expect(first.said).toBe('held')
    expect(await refusal(folder)).toBe(
      `the data folder ${folder} is in use by another running Parley`,
    )
    expect((await other(folder)).said).toContain('StartError: ')
    await killed(first.child)
    const lock = await lockDataFolder(folder)
    expect(await refusal(folder)).toContain('is in use')
    await lock.release()
  })

  test('a holder that is stopped or busy still holds', async () => {
    const folder = join(base, 'data')
    const { child } = await other(folder)
    child.kill('SIGSTOP')
    expect(await refusal(folder)).toContain('is in use')
  })

  test('locks by the real folder, whatever path leads there', async () => {
    const folder = join(base, 'data')
    const lock = await lockDataFolder(folder)
    expect(await refusal(join(base, 'data', '..', 'data'))).toContain('is in use')
    await lock.release()
  })

  test('works where the path is longer than a socket address may be', async () => {
    const folder = join(base, ...Array.from({ length: 5 }, (_, i) => `${i}`.repeat(60)))
    expect(Buffer.byteLength(folder)).toBeGreaterThan(300)
    const first = await other(folder)
    expect(first.said).toBe('held')
    expect(await refusal(folder)).toContain('is in use')
    await killed(first.child)
    await (await lockDataFolder(folder)).release()
  })

  test('of many starters at once exactly one gets it, over the lock of a killed one too', async () => {
    const folder = join(base, 'data')
    for (let round = 0; round < 3; round++) {
      const starters = await Promise.all(Array.from({ length: 6 }, () => other(folder)))
      expect(starters.filter(({ said }) => said === 'held')).toHaveLength(1)
      await Promise.all(
        starters.map(({ child }) => (child.exitCode === null ? killed(child) : undefined)),
      )
    }
    expect((await readdir(folder)).filter((name) => name.startsWith('lock-')).length).toBeLessThan(
      3,
    )
  })

  test('refuses a file, a path through a file and a folder of something else, and changes nothing', async () => {
    const file = join(base, 'file')
    await writeFile(file, 'precious')
    expect(await refusal(file)).toContain('a file is in its place')
    expect(await refusal(join(file, 'below'))).toContain('a file is in its place')
    expect(await readFile(file, 'utf8')).toBe('precious')

    expect(await refusal(base)).toContain("holds something else than Parley's data")
    expect(await readdir(base)).toEqual(['file'])
  })

  test.each([
    ['{"format":2}', 'was written by a newer Parley (format 2; this one reads 1)'],
    ['', 'is damaged'],
    ['{"format":"1"}', 'is damaged'],
    ['null', 'is damaged'],
    ['{"format":0}', 'is damaged'],
  ])('refuses a marker of %s', async (marker, sentence) => {
    await writeFile(join(base, 'parley.json'), marker)
    expect(await refusal(base)).toContain(sentence)
    expect(await readFile(join(base, 'parley.json'), 'utf8')).toBe(marker)
    expect(await readdir(base)).toEqual(['parley.json'])
  })

  test('goes on after a start that was killed before it marked the folder', async () => {
    await writeFile(join(base, 'parley.json.0a1b2c3d.new'), '{"for')
    await writeFile(join(base, 'lock-7.sock'), '')
    await (await lockDataFolder(base)).release()
    expect(JSON.parse(await readFile(join(base, 'parley.json'), 'utf8'))).toEqual({ format: 1 })
  })

  test('refuses a folder that this user can not write', async () => {
    const folder = join(base, 'closed')
    await mkdir(folder, { mode: 0o500 })
    await chmod(base, 0o755)
    if (process.getuid?.() !== 0) {
      expect(await refusal(folder)).toContain("can't be written by this user")
      return
    }
    // Modes don't stop root: ask as someone else.
    const asNobody = spawnSync(process.execPath, [holder, folder], { uid: 65_534, gid: 65_534 })
    expect(String(asNobody.stdout)).toBe(
      `StartError: the data folder ${folder} can't be written by this user\n`,
    )
  })
})

describe('lockFolder', () => {
  test('within one process too, one lock a folder', async () => {
    const locks = await Promise.all(Array.from({ length: 20 }, () => lockFolder(base)))
    const held = locks.filter((lock) => lock !== null)
    expect(held).toHaveLength(1)
    await held[0]?.release()
    const again = await lockFolder(base)
    expect(again).not.toBeNull()
    await again?.release()
  })
})
