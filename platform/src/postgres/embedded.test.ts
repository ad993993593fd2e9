import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLogger, type Log } from '../process/logs.ts'
import { StartError } from '../process/start-error.ts'
import { connectDatabase } from './connect.ts'
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from './embedded.ts'
import { probe } from './embedded-probe.ts'
import { isGone, listProcesses, waitUntil } from './test-processes.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

const isRoot = process.getuid?.() === 0
let template = ''
let base = ''
let started: EmbeddedPostgres[] = []
let lines: string[] = []

/** A stopped server's folder, copied for each test: half the time of making one. */
beforeAll(async () => {
  template = await temporaryFolder()
  const dataDir = join(template, 'postgres')
  await (await startEmbeddedPostgres({ dataDir, log: logger() })).stop()
})
afterAll(() => rm(template, { recursive: true, force: true }))

beforeEach(async () => {
  base = await temporaryFolder()
  execFileSync('cp', ['-a', join(template, 'postgres'), base])
  started = []
  lines = []
})
afterEach(async () => {
  await Promise.all(started.map((server) => server.stop()))
  await rm(base, { recursive: true, force: true })
})

/** One that PostgreSQL's user can pass, unlike what `mkdtemp` makes. */
async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-embedded-'))
  await chmod(folder, 0o755)
  return folder
}

function logger(): Log {
  return createLogger({
    name: 'test',
    level: 'debug',
    destination: { write: (line) => void lines.push(line) },
  })
}

async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
  const dataDir = join(base, 'postgres')
  const server = await startEmbeddedPostgres({ dataDir, log: logger(), ...options })
  started.push(server)
  return server
}

async function query<Row>(server: { url: string }, text: string): Promise<Row[]> {
  const db = await connectDatabase({ url: server.url, poolMax: 1 })
  try {
    return await db.transaction((sql) => sql.query<Row>(text))
  } finally {
    await db.close()
  }
}

const portOf = ({ url }: EmbeddedPostgres) => Number(new URL(url).port)

async function refusal(options: Partial<EmbeddedPostgresOptions> = {}): Promise<string> {
  const error = await start(options).then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(StartError)
  expect(error.message).not.toContain('\n')
  return error.message
}

describe('startEmbeddedPostgres', () => {
  test('[G1] runs with syncs on, in UTF-8, small, and keeps what was written over a stop', async () => {
    const first = await start()
    const [settings] = await query<Record<string, string>>(
      first,
      `select current_setting('fsync') as fsync, current_setting('full_page_writes') as pages,
         current_setting('synchronous_commit') as commit, current_setting('data_checksums') as sums,
         current_setting('server_encoding') as encoding, current_setting('wal_sync_method') as method,
         (select datcollate from pg_database where datname = 'postgres') as collation,
         current_setting('max_connections') as connections`,
    )
    expect(settings).toEqual({
      fsync: 'on',
      pages: 'on',
      commit: 'on',
      sums: 'on',
      encoding: 'UTF8',
      method: 'fdatasync',
      collation: 'C',
      connections: '40',
    })
    await query(first, 'create table kept as select 7 as n')
    const pid = first.pid() as number
    const tree = [
      pid,
      ...listProcesses()
        .filter((p) => p.parent === pid)
        .map((p) => p.pid),
    ]
    expect(tree.length).toBeGreaterThan(3)
    await first.stop()
    expect(tree.filter((one) => !isGone(one))).toEqual([])
    expect(first.pid()).toBeUndefined()
    expect(await query(await start(), 'select n from kept')).toEqual([{ n: 7 }])
  })

  test('listens on loopback alone, over TCP, and asks for the password', async () => {
    const server = await start()
    const file = join(base, 'postgres', 'password')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await readFile(file, 'utf8')).trim()).toBe(new URL(server.url).password)
    expect(new URL(server.url).hostname).toBe('127.0.0.1')
    const hba = await query<{ method: string }>(
      server,
      'select distinct auth_method as method from pg_hba_file_rules',
    )
    expect(hba).toEqual([{ method: 'scram-sha-256' }])
    const [where] = await query<{ tcp: string; sockets: string }>(
      server,
      `select current_setting('listen_addresses') as tcp, current_setting('unix_socket_directories') as sockets`,
    )
    expect(where).toEqual({ tcp: '127.0.0.1', sockets: '' })
    const wrong = server.url.replace(/:[^:@]+@/, ':wrong@')
    await expect(connectDatabase({ url: wrong })).rejects.toThrow(StartError)
  })

  test('is not in our process group, so Ctrl-C is for us alone', async () => {
    const server = await start()
    const all = listProcesses()
    const mine = all.find(({ pid }) => pid === process.pid)
    const its = all.find(({ pid }) => pid === server.pid())
    expect(its?.group).toBe(its?.pid)
    expect(its?.group).not.toBe(mine?.group)
  })

  test('refuses a folder that another living one uses, which goes on', async () => {
    const first = await start()
    expect(await refusal()).toBe(`another Parley uses the database in ${join(base, 'postgres')}`)
    expect(await query(first, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('is started again on the same port when it dies, as often as it dies', async () => {
    const crashes: string[] = []
    const server = await start({ onCrash: (reason) => void crashes.push(reason) })
    await query(server, 'create table kept as select 7 as n')
    for (let round = 1; round <= 2; round++) {
      const pid = server.pid() as number
      process.kill(pid, 'SIGKILL')
      await waitUntil('started again', () => server.pid() !== undefined && server.pid() !== pid)
      expect(await query(server, 'select n from kept')).toEqual([{ n: 7 }])
    }
    expect(crashes).toEqual(['it got SIGKILL', 'it got SIGKILL'])
  })

  test('stops while it is being started again', async () => {
    const server = await start()
    const pid = server.pid() as number
    process.kill(pid, 'SIGKILL')
    await waitUntil('it is down', () => server.pid() === undefined)
    await server.stop()
    expect(await probe(portOf(server), 1_000)).toBe(false)
    expect(listProcesses().filter(({ command }) => command.includes(base))).toEqual([])
  })

  test('takes another port when the one it chose was taken meanwhile', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    const { port: taken } = other.address() as { port: number }
    let asked = 0
    const server = await start({
      async choosePort() {
        asked += 1
        if (asked === 1) return taken
        const free = createServer().listen(0, '127.0.0.1')
        await new Promise((resolve) => free.once('listening', resolve))
        const { port } = free.address() as { port: number }
        await new Promise((resolve) => free.close(resolve))
        return port
      },
    })
    other.close()
    expect(asked).toBe(2)
    expect(await query(server, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('never takes another server on its port for its own', async () => {
    const first = await start()
    const sentence = await refusal({
      dataDir: join(base, 'second'),
      choosePort: async () => portOf(first),
    })
    expect(sentence).toContain('could not create any TCP/IP sockets')
  })

  test('logs nothing of what statements hold, and nothing of the password', async () => {
    const server = await start()
    const db = await connectDatabase({ url: server.url, poolMax: 1 })
    for (const statement of [
      `create table t (id uuid primary key, body text check (body <> 'planted-body'))`,
      `insert into t values (gen_random_uuid(), 'planted-body')`,
      `select 'planted-body'::int8`,
      `syntax error with 'planted-body'`,
    ]) {
      await db.transaction((sql) => sql.query(statement)).catch(() => {})
      await db.transaction((sql) => sql.query('select $1::int8', ['planted-body'])).catch(() => {})
      await db.orm.em
        .fork()
        .execute(statement)
        .catch(() => {})
    }
    await db.close()
    await server.stop()
    expect(lines.join('')).toContain('ready to accept connections')
    expect(lines.join('')).not.toContain('planted-body')
    expect(lines.join('')).not.toContain(new URL(server.url).password)
  })
})

describe('a data folder that can not be used is refused in one sentence, and left as it is', () => {
  const data = (...path: string[]) => join(base, 'postgres', 'data', ...path)

  async function contents(): Promise<string[]> {
    const names = await readdir(join(base, 'postgres'), { recursive: true })
    return names.filter((name) => !name.startsWith('lock-')).sort()
  }

  test.each<[string, () => Promise<unknown>, RegExp]>([
    ['without PG_VERSION', () => rm(data('PG_VERSION')), /is damaged \(PG_VERSION is missing\)/],
    [
      'of another version',
      () => writeFile(data('PG_VERSION'), '17\n'),
      /was made by PostgreSQL 17, and this Parley brings 18/,
    ],
    [
      'without pg_control',
      () => rm(data('global', 'pg_control')),
      /is damaged \(global\/pg_control is missing\)/,
    ],
    [
      'with a pg_control of zeros',
      () => writeFile(data('global', 'pg_control'), Buffer.alloc(8_192)),
      /does not start/,
    ],
    ['without its WAL', () => rm(data('pg_wal'), { recursive: true }), /does not start/],
    ['without its password', () => rm(join(base, 'postgres', 'password')), /password is missing/],
    [
      'that is a file',
      async () => {
        await rm(data(), { recursive: true })
        await writeFile(data(), 'precious')
      },
      /./,
    ],
    [
      'that points nowhere',
      () => writeFile(join(base, 'postgres', 'location.json'), '{"database":"/nowhere/at/all"}'),
      /lies in \/nowhere\/at\/all, which is not there/,
    ],
    [
      'with a damaged pointer',
      () => writeFile(join(base, 'postgres', 'location.json'), '{"data'),
      /location\.json is damaged/,
    ],
  ])('one %s', async (_, damage, sentence) => {
    await damage()
    const before = await contents()
    expect(await refusal()).toMatch(sentence)
    expect(await contents()).toEqual(before)
  })

  test('a start that was killed while it made the database leaves nothing that hinders the next', async () => {
    const half = join(base, 'postgres', 'init-0a1b2c3d', 'data')
    await mkdir(half, { recursive: true })
    await writeFile(join(half, 'PG_VERSION'), '18\n')
    await writeFile(join(base, 'postgres', 'password'), 'of a database that never was\n')
    await rm(data(), { recursive: true })
    expect(await query(await start(), 'select 1 as one')).toEqual([{ one: 1 }])
    expect(await readdir(join(base, 'postgres'))).not.toContain('init-0a1b2c3d')
  })
})

describe.skipIf(!isRoot)('as root', () => {
  test('runs as another user in a folder that only that user can read', async () => {
    const server = await start()
    const line = await readFile(`/proc/${server.pid()}/status`, 'utf8')
    expect(/^Uid:\s+(\d+)/m.exec(line)?.[1]).not.toBe('0')
    expect((await stat(join(base, 'postgres', 'data'))).mode & 0o077).toBe(0)
  })

  test("opens Parley's own folder to that user for passing alone", async () => {
    const home = join(base, '.parley')
    await mkdir(home, { mode: 0o700 })
    await writeFile(join(home, 'parley.json'), '{"format":1}')
    await start({ dataDir: join(home, 'postgres') })
    expect((await stat(home)).mode & 0o777).toBe(0o710)
    expect(await readdir(join(home, 'postgres'))).toContain('data')
  })

  test('puts the database elsewhere where that user can not pass, says so, and finds it again', async () => {
    const closed = join(base, 'closed')
    const elsewhere = join(base, 'elsewhere')
    await mkdir(closed, { mode: 0o700 })
    const dataDir = join(closed, 'home', 'postgres')
    const first = await start({ dataDir, elsewhere })
    await query(first, 'create table kept as select 7 as n')
    const pointer = JSON.parse(await readFile(join(dataDir, 'location.json'), 'utf8'))
    expect(pointer.database.startsWith(`${elsewhere}/`)).toBe(true)
    expect(pointer.why).toContain(closed)
    expect(await readdir(pointer.database)).toContain('data')
    expect(lines.some((line) => line.includes(pointer.database) && line.includes('"warn"'))).toBe(
      true,
    )
    expect((await stat(closed)).mode & 0o777).toBe(0o700)
    await first.stop()

    const again = await start({ dataDir, elsewhere })
    expect(await query(again, 'select n from kept')).toEqual([{ n: 7 }])
    await again.stop()

    // A data folder made anew at the same path is a new one.
    await rm(dataDir, { recursive: true })
    const anew = await start({ dataDir, elsewhere })
    expect(await query(anew, `select to_regclass('kept') as kept`)).toEqual([{ kept: null }])
    expect(await readdir(elsewhere)).toHaveLength(2)
  })

  test('refuses when that user can pass to no place', async () => {
    const closed = join(base, 'closed')
    await mkdir(closed, { mode: 0o700 })
    const sentence = await refusal({
      dataDir: join(closed, 'a', 'b'),
      elsewhere: join(closed, 'elsewhere'),
    })
    expect(sentence).toContain('PARLEY_DATA_DIR')
  })
})
