import { readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { StartError } from '../process/start-error.ts'
import { connectDatabase } from './connect.ts'
import type { EmbeddedPostgres } from './embedded.ts'
import { probe } from './embedded-probe.ts'
import { createTestBed, query } from './embedded-test-bed.ts'
import { isGone, listProcesses, waitUntil } from './test-processes.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

const bed = createTestBed({ afterAll, afterEach, beforeAll, beforeEach })
const portOf = ({ url }: EmbeddedPostgres) => Number(new URL(url).port)

describe('startEmbeddedPostgres', () => {
  test('[G1] runs with syncs on, in UTF-8, small, and keeps what was written over a stop', async () => {
    const first = await bed.start()
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
    expect(await query(await bed.start(), 'select n from kept')).toEqual([{ n: 7 }])
  })

  test('listens on loopback alone, over TCP, and asks for the password', async () => {
    const server = await bed.start()
    const file = join(bed.base, 'postgres', 'password')
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
    const server = await bed.start()
    const all = listProcesses()
    const mine = all.find(({ pid }) => pid === process.pid)
    const its = all.find(({ pid }) => pid === server.pid())
    expect(its?.group).toBe(its?.pid)
    expect(its?.group).not.toBe(mine?.group)
  })

  test('refuses a folder that another living one uses, which goes on', async () => {
    const first = await bed.start()
    expect(await bed.refusal()).toBe(
      `another Parley uses the database in ${join(bed.base, 'postgres')}`,
    )
    expect(await query(first, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test('is started again on the same port when it dies, as often as it dies', async () => {
    const crashes: string[] = []
    const server = await bed.start({ onCrash: (reason) => void crashes.push(reason) })
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
    const server = await bed.start()
    const pid = server.pid() as number
    process.kill(pid, 'SIGKILL')
    await waitUntil('it is down', () => server.pid() === undefined)
    await server.stop()
    expect(await probe(portOf(server), 1_000)).toBe(false)
    expect(listProcesses().filter(({ command }) => command.includes(bed.base))).toEqual([])
  })

  test('takes another port when the one it chose was taken meanwhile', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => other.once('listening', resolve))
    const { port: taken } = other.address() as { port: number }
    let asked = 0
    const server = await bed.start({
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
    const first = await bed.start()
    const sentence = await bed.refusal({
      dataDir: join(bed.base, 'second'),
      choosePort: async () => portOf(first),
    })
    expect(sentence).toContain('could not create any TCP/IP sockets')
  })

  test('logs nothing of what statements hold, and nothing of the password', async () => {
    const server = await bed.start()
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
    expect(bed.lines.join('')).toContain('ready to accept connections')
    expect(bed.lines.join('')).not.toContain('planted-body')
    expect(bed.lines.join('')).not.toContain(new URL(server.url).password)
  })
})
