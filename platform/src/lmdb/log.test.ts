import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { LogRecord } from '@parley/platform/ports/log'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type LmdbLog, type LmdbLogOptions, openLmdbLog } from './log.ts'

let folder: string
let path: string
const opened: LmdbLog[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'parley-log-'))
  path = join(folder, 'log')
})

afterEach(async () => {
  await Promise.all(opened.splice(0).map((log) => log.close()))
  rmSync(folder, { recursive: true, force: true })
})

async function openMain(options: Partial<LmdbLogOptions> = {}): Promise<LmdbLog> {
  const log = await openLmdbLog({
    path,
    topics: { main: 2 },
    maxRecordBytes: 100_000,
    maxReadBytes: 100_000,
    ...options,
  })
  opened.push(log)
  return log
}

const record = (value: Uint8Array | string) => ({
  headers: { schema: '1' },
  value: Buffer.from(value as Uint8Array),
})

function fixture(name: string): string {
  return fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))
}

/** Reads both partitions from their beginning until `done`, then leaves. */
async function readUntil(
  log: LmdbLog,
  done: (seen: Seen) => boolean,
  onRead: (partition: number, records: LogRecord[]) => Promise<void> = async () => {},
): Promise<Seen> {
  const seen: Seen = { batches: [[], []], failures: [] }
  let resolve = () => {}
  const finished = new Promise<void>((settle) => {
    resolve = settle
  })
  const look = () => {
    if (done(seen)) resolve()
  }
  const member = await log.join('group', 'main', {
    assigned: async ({ partition }) => ({
      start: 0,
      async read(records) {
        seen.batches[partition]?.push(records)
        await onRead(partition, records)
        look()
      },
      async revoked() {},
    }),
    failed(partition, error) {
      seen.failures.push({ partition, message: error.message })
      look()
    },
  })
  await finished
  await member.close()
  return seen
}

interface Seen {
  batches: LogRecord[][][]
  failures: { partition: number; message: string }[]
}

const straced =
  process.platform === 'linux' && spawnSync('strace', ['-o', '/dev/null', 'true']).status === 0

describe('what an append waits for', () => {
  it.skipIf(!straced)(
    '[LOG1] [G1] the disk: fdatasync and a synchronous write come before append resolves',
    () => {
      const trace = join(folder, 'trace')
      const run = spawnSync(
        'strace',
        [
          '-f',
          '-o',
          trace,
          '-e',
          'trace=openat,write,pwrite64,pwritev,fdatasync',
          process.execPath,
          fixture('append-and-say.ts'),
          path,
        ],
        { encoding: 'utf8' },
      )
      expect(run.status, run.stderr).toBe(0)
      const lines = readFileSync(trace, 'utf8').split('\n')
      const fdOf = (flags: string) => {
        const opening = lines.findLast((line) => line.includes('log.mdb"') && line.includes(flags))
        return /= (\d+)$/.exec(opening ?? '')?.[1]
      }
      const [data, synchronous] = [fdOf('O_RDWR'), fdOf('O_DSYNC')]
      for (const count of [0, 1, 2]) {
        const from = lines.findIndex((line) => line.includes(`"begins ${count}`))
        const to = lines.findIndex((line) => line.includes(`"resolved ${count}`))
        const between = lines.slice(from, to)
        const order = ['write', 'fdatasync', 'pwrite64'].map((call, step) => {
          const fd = step < 2 ? data : synchronous
          const started = between.findLastIndex((line) =>
            new RegExp(`${call}\\w*\\(${fd}\\b`).test(line),
          )
          // A call in one thread that another thread's interrupts in the trace ends in a line of its own.
          if (!between[started]?.endsWith('<unfinished ...>')) return started
          return between.findIndex((line, at) => at > started && line.includes(`${call} resumed`))
        })
        expect(Math.min(...order), between.join('\n')).toBeGreaterThan(0)
        expect(order).toEqual([...order].sort((one, other) => one - other))
      }
    },
    20_000,
  )

  it('[G8] at most maxPendingBytes wait; what is beyond is refused at once and not written', async () => {
    const log = await openMain({ maxPendingBytes: 10_000 })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, () => log.append('main', 0, [record(Buffer.alloc(1_000))])),
    )
    const refused = outcomes.filter(({ status }) => status === 'rejected')
    expect(refused.length).toBeGreaterThan(10)
    expect(String((refused[0] as PromiseRejectedResult).reason)).toMatch(
      /nothing was written: \d+ bytes wait for the disk, the bound is 10000/,
    )
    expect((await log.range('main', 0)).next).toBe(20 - refused.length)
    await log.append('main', 0, [record('afterwards')])
  })

  it('[G8] one append above the bound goes in when nothing else waits', async () => {
    const log = await openMain({ maxPendingBytes: 1_000 })
    await log.append('main', 0, [record(Buffer.alloc(5_000))])
  })
})

describe('what a reader gets', () => {
  it('batches within maxReadBytes and maxReadRecords, larger records alone', async () => {
    const log = await openMain({ maxReadBytes: 1_000, maxReadRecords: 4 })
    const sizes = [400, 400, 400, 2_000, 1, 1, 1, 1, 1, 999]
    await log.append(
      'main',
      0,
      sizes.map((size) => record(Buffer.alloc(size))),
    )
    const count = (batches: LogRecord[][]) => batches.flat().length
    const { batches } = await readUntil(log, (seen) => count(seen.batches[0] ?? []) === 10)
    expect(batches[0]?.map((batch) => batch.map(({ value }) => value.length))).toEqual([
      [400, 400],
      [400],
      [2_000],
      [1, 1, 1, 1],
      [1, 999],
    ])
  })

  it('[R15] a damaged record stops its partition by offset and is never skipped; the other goes on', async () => {
    const log = await openMain()
    for (const partition of [0, 1]) {
      const texts = Array.from(
        { length: 9 },
        (_, index) => `partition ${partition} record ${index}`,
      )
      await log.append('main', partition, texts.map(record))
    }
    await log.close()
    const file = join(path, 'log.mdb')
    const bytes = readFileSync(file)
    const at = bytes.indexOf('partition 0 record 5')
    bytes[at + 3] = 0x21
    writeFileSync(file, bytes)

    const again = await openMain({ maxReadRecords: 1 })
    const seen = await readUntil(
      again,
      ({ batches, failures }) => failures.length > 0 && batches[1]?.length === 9,
    )
    expect(seen.failures).toEqual([
      { partition: 0, message: 'main/0: the record at offset 5 does not match its checksum' },
    ])
    expect(seen.batches[0]?.flat().map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4])
  })

  it('timers get their turn while a reader works through a backlog without ever waiting', async () => {
    const log = await openMain({ maxReadRecords: 1 })
    await log.append(
      'main',
      0,
      Array.from({ length: 3_000 }, () => record('x')),
    )
    let turns = 0
    const count = setInterval(() => {
      turns += 1
    }, 1)
    await readUntil(
      log,
      ({ batches }) => batches[0]?.length === 3_000,
      async () => {
        // A little work, as a real reader has.
        const until = performance.now() + 0.02
        while (performance.now() < until);
      },
    )
    clearInterval(count)
    expect(turns).toBeGreaterThan(3)
  })
})

describe('a full disk', () => {
  it.skipIf(process.platform === 'win32')(
    'rejects appends; reading, committing and trimming go on, and appends again once there is room',
    () => {
      // 8,192 blocks of 512 or 1,024 bytes. Node ignores the signal, so that a write past them fails as on a full disk.
      const run = spawnSync(
        'sh',
        [
          '-c',
          'ulimit -f 8192; exec "$0" "$@"',
          process.execPath,
          fixture('fill-the-disk.ts'),
          path,
        ],
        { encoding: 'utf8', timeout: 20_000 },
      )
      const said = JSON.parse(run.stdout)
      expect(said.refused).toMatch(
        /the disk refused the write: (Input\/output error|File too large)/,
      )
      expect(said.atRefusal.next).toBeGreaterThan(20)
      expect(said.refusedAgain).toEqual(['rejected', 'rejected', 'rejected'])
      expect(said.read).toBe(said.atRefusal.next)
      expect(said.committed).toBe(true)
      expect(said.range.earliest).toBe(said.atRefusal.next - 1)
      expect(said.appended).toBe(5)
      expect(said.range.next).toBe(said.atRefusal.next + 5)
    },
    30_000,
  )
})
