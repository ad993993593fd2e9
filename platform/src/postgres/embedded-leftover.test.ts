import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { createLogger } from '../process/logs.ts'
import { connectDatabase } from './connect.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded.ts'
import { as, chooseUser } from './embedded-user.ts'
import { isGone, listProcesses, waitUntil } from './test-processes.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

const fixture = fileURLToPath(new URL('./fixtures/start-embedded.ts', import.meta.url))
const log = createLogger({ name: 'test', level: 'silent' })
let base = ''
let toStop: EmbeddedPostgres[] = []
let toKill: ChildProcess[] = []

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'parley-leftover-'))
  toStop = []
  toKill = []
})
afterEach(async () => {
  await Promise.all(toStop.map((server) => server.stop()))
  for (const child of toKill) child.kill('SIGKILL')
  await rm(base, { recursive: true, force: true })
})

async function start(dataDir = base): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log })
  toStop.push(server)
  return server
}

async function query(url: string, text: string): Promise<unknown[]> {
  const db = await connectDatabase({ url, poolMax: 1 })
  try {
    return await db.transaction((sql) => sql.query(text))
  } finally {
    await db.close()
  }
}

/** Another Parley on the folder; `shell` is what stops its server when it is killed. */
async function parent(folder = base): Promise<{
  parley: ChildProcess
  url: string
  pid: number
  shell: number
}> {
  const parley = spawn(process.execPath, [fixture, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  toKill.push(parley)
  const [chunk] = await once(parley.stdout, 'data')
  const { url, pid } = JSON.parse(String(chunk))
  const shell = listProcesses().find(
    (line) => line.parent === parley.pid && line.command.includes('/bin/sh'),
  )
  if (shell === undefined) throw new Error('no shell watches')
  return { parley, url, pid, shell: shell.pid }
}

async function kill(child: ChildProcess): Promise<void> {
  const end = once(child, 'exit')
  child.kill('SIGKILL')
  await end
}

/** What a `kill -9` of everything leaves: data that wants recovery, and the lock file of a dead postmaster. */
let wreck = ''
beforeAll(async () => {
  wreck = await mkdtemp(join(tmpdir(), 'parley-wreck-'))
  const { parley, url, pid, shell } = await parent(wreck)
  await query(url, 'create table kept as select 7 as n')
  process.kill(shell, 'SIGKILL')
  await waitUntil('nobody watches', () => isGone(shell))
  await kill(parley)
  const family = listProcesses().filter((line) => line.parent === pid)
  process.kill(pid, 'SIGKILL')
  await waitUntil('all are dead', () => [pid, ...family.map((line) => line.pid)].every(isGone))
})
afterAll(() => rm(wreck, { recursive: true, force: true }))

/** Puts the wreck in place of the test's folder. Returns its lock file. */
async function crashed(): Promise<string> {
  await rm(base, { recursive: true })
  execFileSync('cp', ['-a', wreck, base])
  return join(base, 'data', 'postmaster.pid')
}

test('a server ends with the Parley that started it, also when that is killed', async () => {
  const { parley, pid } = await parent()
  await kill(parley)
  await waitUntil('the server ended', () => isGone(pid))
})

test('a server that outlived its Parley is stopped by the next one, and nothing is lost', async () => {
  const { parley, url, pid, shell } = await parent()
  await query(url, 'create table kept as select 7 as n')
  process.kill(shell, 'SIGKILL')
  await waitUntil('nobody watches', () => isGone(shell))
  await kill(parley)
  expect(isGone(pid)).toBe(false)
  const server = await start()
  expect(isGone(pid)).toBe(true)
  expect(await query(server.url, 'select n from kept')).toEqual([{ n: 7 }])
})

test('the lock file of a server that was killed hinders nobody', async () => {
  await crashed()
  expect(await query((await start()).url, 'select n from kept')).toEqual([{ n: 7 }])
})

test('a process that got the number of a dead server is left alone, and the server starts', async () => {
  const lockFile = await crashed()
  const stranger = spawn('sleep', ['1000'], { ...as(await chooseUser()), stdio: 'ignore' })
  toKill.push(stranger)
  const text = await readFile(lockFile, 'utf8')
  await writeFile(lockFile, text.replace(/^\d+/, String(stranger.pid)))
  expect(await query((await start()).url, 'select n from kept')).toEqual([{ n: 7 }])
  expect(isGone(stranger.pid as number)).toBe(false)
})

test('the server of another data folder that got the number is left alone too', async () => {
  const lockFile = await crashed()
  const otherFolder = await mkdtemp(join(tmpdir(), 'parley-other-'))
  const other = await start(otherFolder)
  try {
    const text = await readFile(lockFile, 'utf8')
    await writeFile(lockFile, text.replace(/^\d+/, String(other.pid())))
    expect(await query((await start()).url, 'select n from kept')).toEqual([{ n: 7 }])
    expect(await query(other.url, 'select 1 as one')).toEqual([{ one: 1 }])
  } finally {
    await other.stop()
    await rm(otherFolder, { recursive: true })
  }
})

test.each(['', '1\n', '-7\n'])(
  'a lock file that begins with %j hinders nobody and nobody is killed',
  async (head) => {
    const lockFile = await crashed()
    const rest = (await readFile(lockFile, 'utf8')).replace(/^.*\n/, '')
    await writeFile(lockFile, head === '' ? '' : head + rest)
    const outcome = await start().then(
      ({ url }) => query(url, 'select n from kept'),
      (error) => error.message,
    )
    expect(outcome).toEqual([{ n: 7 }])
  },
)

test('a lock file that makes no sense is refused in one sentence', async () => {
  const lockFile = await crashed()
  await writeFile(lockFile, 'garbage')
  await expect(start()).rejects.toThrow(
    /^PostgreSQL does not start .*bogus data in lock file[^\n]*$/,
  )
  expect(await readFile(lockFile, 'utf8')).toBe('garbage')
})
