import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Stack } from './harness/stack.ts'
import { startStandalone } from './harness/standalone-server.ts'

/** What the README tells a newcomer to type is typed here, at another address. */

const root = fileURLToPath(new URL('../..', import.meta.url))
const run = promisify(execFile)

let stack: Stack
beforeAll(async () => {
  stack = await startStandalone()
}, 90_000)
afterAll(() => stack?.dispose())

/** The shell blocks of the second heading (start is the first), in order. */
async function firstMessage(readme: string): Promise<string> {
  const [, , section = ''] = (await readFile(`${root}${readme}`, 'utf8')).split(/^## /m)
  return [...section.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, block]) => block).join('\n')
}

test('the first message of the README works as it is printed', async () => {
  const script = await firstMessage('README.md')
  expect(script).toContain('curl')
  expect(script).toContain('wscat')
  const here = script
    .replaceAll('http://127.0.0.1:8080', stack.httpUrl)
    .replaceAll('ws://127.0.0.1:8081/ws', stack.wsUrls[0] as string)
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` }
  const options = { cwd: root, env, timeout: 60_000 }
  const { stdout } = await run('bash', ['-ec', here], options)
  expect(stdout).toMatch(/"seq":2\b/)
  expect(stdout).toMatch(/"type":"welcome"/)
  expect(stdout).toMatch(/"type":"ack".*"seq":3\b/)
  expect(stdout).toMatch(/"messages":\[.*and live.*hello/)
})

test('both READMEs say the same commands', async () => {
  expect(await firstMessage('README.zh-CN.md')).toBe(await firstMessage('README.md'))
})
