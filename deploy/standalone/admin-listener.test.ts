import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { StartError } from '@parley/platform/process/start-error'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { linkTo } from './admin-link.ts'
import { adminFile, startAdminListener } from './admin-listener.ts'

let dataDir: string
let listener: Awaited<ReturnType<typeof startAdminListener>>
let projected: () => Promise<void>
const url = 'postgresql://parley:secret@127.0.0.1:1/postgres'
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'parley-admin-'))
  projected = async () => {}
  listener = await startAdminListener({ dataDir, databaseUrl: url, projected: () => projected() })
})
afterEach(async () => {
  await listener.close()
  await rm(dataDir, { recursive: true, force: true })
})

async function place(): Promise<{ port: number; secret: string }> {
  return JSON.parse(await readFile(join(dataDir, adminFile), 'utf8'))
}

test('who can read the file in the data folder is answered; only its owner can', async () => {
  expect((await stat(join(dataDir, adminFile))).mode & 0o777).toBe(0o600)
  const link = await linkTo(dataDir)
  expect(await link.ask('/database')).toEqual({ url })
  expect(await link.ask('/projected')).toEqual({ projected: true })
})

test('nobody without the secret is told anything', async () => {
  const { port, secret } = await place()
  const ask = (path: string, method: string, authorization?: string) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      ...(authorization === undefined ? {} : { headers: { authorization } }),
    })
  for (const [path, method, authorization] of [
    ['/database', 'POST', undefined],
    ['/database', 'POST', 'Bearer '],
    ['/database', 'POST', `Bearer ${secret.slice(1)}0`],
    ['/database', 'POST', `Bearer ${'0'.repeat(secret.length)}`],
    ['/database', 'GET', `Bearer ${secret}`],
    ['/other', 'POST', `Bearer ${secret}`],
  ] as const) {
    const answer = await ask(path, method, authorization)
    expect([path, answer.status, await answer.text()]).toEqual([path, 404, '{}'])
  }
  expect((await ask('/database', 'POST', `Bearer ${secret}`)).status).toBe(200)
})

test('why the process can’t is told in its own sentence', async () => {
  projected = async () => {
    throw new Error('partition 3 did not reach the database')
  }
  const link = await linkTo(dataDir)
  const refused = expect(link.ask('/projected')).rejects
  await refused.toEqual(new StartError('partition 3 did not reach the database'))
})

test('once closed, or not there yet, the link says to try again, and no secret is left', async () => {
  const link = await linkTo(dataDir)
  const text = await readFile(join(dataDir, adminFile), 'utf8')
  await listener.close()
  expect(await readdir(dataDir)).toEqual([])
  await expect(link.ask('/database')).rejects.toThrow(/does not answer.*try again/)
  await expect(linkTo(dataDir)).rejects.toThrow(/does not answer/)
  /* As a kill leaves it. */
  await writeFile(join(dataDir, adminFile), text)
  await expect((await linkTo(dataDir)).ask('/database')).rejects.toBeInstanceOf(StartError)
  await writeFile(join(dataDir, adminFile), '{"port":')
  await expect(linkTo(dataDir)).rejects.toBeInstanceOf(StartError)
})
