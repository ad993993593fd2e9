import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createTestBed, query } from './embedded-test-bed.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 30_000 })

const bed = createTestBed({ afterAll, afterEach, beforeAll, beforeEach })

describe.skipIf(process.getuid?.() !== 0)('as root', () => {
  test('runs as another user in a folder that only that user can read', async () => {
    const server = await bed.start()
    const line = await readFile(`/proc/${server.pid()}/status`, 'utf8')
    expect(/^Uid:\s+(\d+)/m.exec(line)?.[1]).not.toBe('0')
    expect((await stat(join(bed.base, 'postgres', 'data'))).mode & 0o077).toBe(0)
  })

  test("opens Parley's own folder to that user for passing alone", async () => {
    const home = join(bed.base, '.parley')
    await mkdir(home, { mode: 0o700 })
    await writeFile(join(home, 'parley.json'), '{"format":1}')
    await bed.start({ dataDir: join(home, 'postgres') })
    expect((await stat(home)).mode & 0o777).toBe(0o710)
    expect(await readdir(join(home, 'postgres'))).toContain('data')
  })

  test('puts the database elsewhere where that user can not pass, says so, and finds it again', async () => {
    const closed = join(bed.base, 'closed')
    const elsewhere = join(bed.base, 'elsewhere')
    await mkdir(closed, { mode: 0o700 })
    const dataDir = join(closed, 'home', 'postgres')
    const first = await bed.start({ dataDir, elsewhere })
    await query(first, 'create table kept as select 7 as n')
    const pointer = JSON.parse(await readFile(join(dataDir, 'location.json'), 'utf8'))
    expect(pointer.database.startsWith(`${elsewhere}/`)).toBe(true)
    expect(pointer.why).toContain(closed)
    expect(await readdir(pointer.database)).toContain('data')
    expect(
      bed.lines.some((line) => line.includes(pointer.database) && line.includes('"warn"')),
    ).toBe(true)
    expect((await stat(closed)).mode & 0o777).toBe(0o700)
    await first.stop()

    const again = await bed.start({ dataDir, elsewhere })
    expect(await query(again, 'select n from kept')).toEqual([{ n: 7 }])
    await again.stop()

    // A data folder made anew at the same path is a new one.
    await rm(dataDir, { recursive: true })
    const anew = await bed.start({ dataDir, elsewhere })
    expect(await query(anew, `select to_regclass('kept') as kept`)).toEqual([{ kept: null }])
    expect(await readdir(elsewhere)).toHaveLength(2)
  })

  test('refuses when that user can pass to no place', async () => {
    const closed = join(bed.base, 'closed')
    await mkdir(closed, { mode: 0o700 })
    const sentence = await bed.refusal({
      dataDir: join(closed, 'a', 'b'),
      elsewhere: join(closed, 'elsewhere'),
    })
    expect(sentence).toContain('PARLEY_DATA_DIR')
  })
})
