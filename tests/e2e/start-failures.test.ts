import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { folderHash } from './harness/folder-hash.ts'
import { type Person, type World, worldOf } from './harness/people.ts'
import {
  type Finished,
  runToExit,
  type StandaloneServer,
  startStandalone,
  temporaryFolder,
} from './harness/standalone-server.ts'

/** A start that can't be: one clear sentence on stderr, exit code 1, nothing overwritten. */

let folder: string
let dataDir: string
let server: StandaloneServer
let world: World
let ann: Person
let conversation: string

beforeAll(async () => {
  folder = await temporaryFolder('start')
  dataDir = join(folder, 'data')
  server = await startStandalone({ dataDir })
  world = worldOf(server)
  ann = await world.register()
  conversation = await world.group(ann, [])
  const socket = await world.connect(ann)
  for (let i = 0; i < 50; i++) await socket.say(conversation, `message ${i}`)
  await socket.close()
}, 90_000)
afterAll(async () => {
  await server?.dispose()
  await rm(folder, { recursive: true, force: true })
})

function expectOneSentence(finished: Finished, naming: RegExp): void {
  const lines = finished.stderr.split('\n').filter((line) => line.trim() !== '')
  expect(lines, finished.stderr).toHaveLength(1)
  expect(lines[0]).toMatch(naming)
  expect(finished.stderr).not.toMatch(/^\s+at /m)
  expect(finished.code).toBe(1)
}

describe('a port in use', () => {
  test.each(['PARLEY_HTTP_PORT', 'PARLEY_WS_PORT'])('%s', async (setting) => {
    const squatter = createServer().listen(0, '127.0.0.1')
    await once(squatter, 'listening')
    const { port } = squatter.address() as AddressInfo
    const scratch = await temporaryFolder('port')
    try {
      const options = { dataDir: join(scratch, 'data'), env: { [setting]: `${port}` } }
      expectOneSentence(await runToExit(options), new RegExp(`${port}`))
    } finally {
      squatter.close()
      await rm(scratch, { recursive: true })
    }
  })
})

describe('a wrong setting is named, and nothing is made', () => {
  test.each([
    ['PARLEY_HTTP_PORT', 'abc'],
    ['PARLEY_HTTP_PORT', '65536'],
    ['PARLEY_HTTP_PORT', '-1'],
    ['PARLEY_HTTP_PORT', '80.5'],
    ['PARLEY_WS_PORT', ' '],
    ['PARLEY_WS_PUBLIC_URL', 'not a url'],
    ['PARLEY_REGISTRATION', 'sometimes'],
    ['PARLEY_ACCESS_TOKEN_SECONDS', '0'],
    ['PARLEY_USER_MESSAGES_PER_SECOND', '-5'],
    ['PARLEY_USER_MESSAGES_BURST', 'many'],
  ])('%s=%s', async (setting, value) => {
    const scratch = await temporaryFolder('setting')
    try {
      const options = { dataDir: join(scratch, 'data'), env: { [setting]: value } }
      expectOneSentence(await runToExit(options), new RegExp(setting))
      expect(existsSync(join(scratch, 'data'))).toBe(false)
    } finally {
      await rm(scratch, { recursive: true })
    }
  })
})

test('a data folder that is a file is told, and stays', async () => {
  const scratch = await temporaryFolder('file')
  const path = join(scratch, 'data')
  await writeFile(path, 'precious')
  expectOneSentence(await runToExit({ dataDir: path }), new RegExp(path))
  expect(await readFile(path, 'utf8')).toBe('precious')
  await rm(scratch, { recursive: true })
})

test('a data folder in use is told, and its owner never notices', async () => {
  const socket = await world.connect(ann)
  expectOneSentence(await runToExit({ dataDir }), new RegExp(dataDir))
  await socket.say(conversation, 'still here')
  await socket.close()
  expect(await server.stop()).toBe(0)
  await server.restart()
  expect((await worldOf(server).connect(ann)).welcome.conversations[0]).toMatchObject({
    id: conversation,
  })
})

describe('a corrupt data folder', () => {
  let pristine: string
  beforeAll(async () => {
    expect(await server.stop()).toBe(0)
    pristine = dataDir
  })

  /** The biggest file with such a name, so that the tests need not know the folder's plan. */
  async function biggest(within: string, name: RegExp): Promise<string> {
    const files = Object.keys(await folderHash(within)).filter((file) => name.test(file))
    const [first] = files.sort((a, b) => size(within, b) - size(within, a))
    if (first === undefined) throw new Error(`no file like ${name}`)
    return join(within, first)
  }
  const size = (within: string, file: string) => statSync(join(within, file)).size

  async function damaged(damage: (copy: string) => Promise<void>, naming?: RegExp): Promise<void> {
    const scratch = await temporaryFolder('corrupt')
    const copy = join(scratch, 'data')
    try {
      execFileSync('cp', ['-a', pristine, copy])
      await damage(copy)
      const before = await folderHash(copy)
      expectOneSentence(await runToExit({ dataDir: copy }), naming ?? new RegExp(copy))
      const after = await folderHash(copy)
      for (const [file, hash] of Object.entries(before)) {
        if (!volatile.test(file)) expect(after[file], file).toBe(hash)
      }
    } finally {
      await rm(scratch, { recursive: true })
    }
  }
  /** What a start may touch before it sees the damage: locks, and PostgreSQL's own bookkeeping and caches of a clean start. */
  const volatile =
    /lock|postmaster|\.pid$|pg_control$|pg_internal\.init$|pg_wal|pg_stat|pg_logical|postgresql\.(auto\.)?conf|\.log$/

  test('the log overwritten with noise', () =>
    damaged(async (copy) => {
      const file = await open(await biggest(copy, /\.mdb$|lmdb|log/), 'r+')
      await file.write(Buffer.alloc(16_384, 0xa5), 0, 16_384, 0)
      await file.close()
    }))
  test('the log cut off', () =>
    damaged(async (copy) => truncate(await biggest(copy, /\.mdb$|lmdb/), 100)))
  test('[R15] the log gone, the database still there', () =>
    damaged(async (copy) => {
      await rm(await biggest(copy, /\.mdb$|lmdb/))
    }, /log .* is not the one the database was written from/))
  test('the database of another version', () =>
    damaged(async (copy) => writeFile(await biggest(copy, /(^|\/)PG_VERSION$/), '9\n')))
  test('the database’s control file cut off', () =>
    damaged(async (copy) => truncate(await biggest(copy, /global\/pg_control$/), 0)))
  test('[R15] the database gone, the log still there', () =>
    damaged(async (copy) => {
      const version = await biggest(copy, /(^|\/)PG_VERSION$/)
      await rm(version.slice(0, version.lastIndexOf('/')), { recursive: true })
    }, /the database is gone from/))

  test('the undamaged one starts again with all in it', async () => {
    await server.restart()
    const { events } = await world.http.call<{ events: unknown[] }>(
      'GET',
      `/v1/conversations/${conversation}/events?after=0&limit=100`,
      { token: ann.accessToken },
    )
    expect(events).toHaveLength(52)
  })
})
