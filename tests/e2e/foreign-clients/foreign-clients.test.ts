import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { within } from '../harness/deadline.ts'
import type { ServerFrame } from '../harness/frames.ts'
import { uuid7 } from '../harness/ids.ts'
import type { Stack } from '../harness/stack.ts'
import { startStandalone } from '../harness/standalone-server.ts'

/** Clients that are none of ours: Debian's python3-websockets, and curl with wscat, as the README shows it. */

const run = promisify(execFile)
const here = fileURLToPath(new URL('.', import.meta.url))
const wscat = fileURLToPath(new URL('../../../node_modules/.bin/wscat', import.meta.url))
const python = '/usr/bin/python3'
const onCi = process.env.CI !== undefined

async function works(command: string, ...args: string[]): Promise<boolean> {
  return run(command, args).then(
    () => true,
    () => false,
  )
}
const hasPython = await works(python, '-c', 'import websockets')
const hasCurl = await works('curl', '--version')
const hasWscat = existsSync(wscat)

/** On a developer's machine a missing client is a loud skip; in CI it is a failure. */
function skipUnless(there: boolean, what: string): boolean {
  if (there || onCi) return false
  console.warn(`SKIPPED: ${what}`)
  return true
}

let stack: Stack
beforeAll(async () => {
  stack = await startStandalone()
}, 90_000)
afterAll(() => stack?.dispose())

test.skipIf(
  skipUnless(hasPython, `no python3-websockets for ${python}; apt-get install python3-websockets`),
)('two Python clients chat in a direct and a group conversation on both subprotocols', async () => {
  const { stdout } = await run(python, [join(here, 'two-clients.py'), stack.httpUrl], {
    timeout: 60_000,
  })
  const summary = JSON.parse(stdout.trim().split('\n').at(-1) as string)
  expect(Object.values(summary.events)).toEqual([21, 21])
})

/** curl as a newcomer uses it. */
async function curl<T>(method: string, path: string, body?: unknown, token?: string): Promise<T> {
  const args = ['-sS', '-X', method, stack.httpUrl + path]
  if (token) args.push('-H', `authorization: Bearer ${token}`)
  if (body) args.push('-H', 'content-type: application/json', '-d', JSON.stringify(body))
  const { stdout } = await run('curl', args, { timeout: 20_000 })
  return JSON.parse(stdout) as T
}

/** One run of wscat that says each command in turn and ends when `enough` of what came is there. */
async function wscatRun(
  commands: unknown[],
  enough: (frames: ServerFrame[]) => boolean,
): Promise<ServerFrame[]> {
  const said = commands.flatMap((command) => ['-x', JSON.stringify(command)])
  const args = ['-c', stack.wsUrls[0] as string, '-s', 'parley.v1.json', '-w', '-1', ...said]
  const child = spawn(wscat, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  let output = ''
  const frames = () =>
    output
      .split('\n')
      .slice(0, -1)
      .flatMap((line) => JSON.parse(line) as ServerFrame | ServerFrame[])
  try {
    const done = new Promise<void>((resolve, reject) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (enough(frames())) resolve()
      })
      child.once('exit', (code) => reject(new Error(`wscat ended with ${code}: ${output}`)))
    })
    await within('wscat shows enough', 20_000, done)
    return frames()
  } finally {
    child.kill('SIGKILL')
  }
}

test.skipIf(skipUnless(hasCurl && hasWscat, `no curl or no wscat; apt-get install curl, npm ci`))(
  'curl and wscat register, make a group, send and read back',
  async () => {
    interface Account {
      user: { id: string }
      accessToken: string
    }
    const register = (name: string) =>
      curl<Account>('POST', '/v1/auth/register', {
        username: `${name}-${Date.now()}`,
        password: 'correct horse',
      })
    const ann = await register('curl-ann')
    const ben = await register('curl-ben')
    const { conversation } = await curl<{ conversation: { id: string } }>(
      'POST',
      '/v1/conversations',
      { kind: 'group', title: 'From a shell', members: [ben.user.id] },
      ann.accessToken,
    )
    const said: { id: string; text: string }[] = []
    for (const [name, { accessToken: token }] of Object.entries({ ann, ben })) {
      const messages = [1, 2, 3].map((i) => ({ id: uuid7(), text: `${name} says ${i}` }))
      said.push(...messages)
      const frames = await wscatRun(
        [
          { type: 'hello', token, device: 'shell' },
          ...messages.map(({ id, text }) => ({
            type: 'send',
            id,
            conversation: conversation.id,
            body: { text },
          })),
        ],
        (got) =>
          got.filter((f) => f.type === 'ack').length === 3 &&
          got.filter((f) => f.type === 'event').length >= 3,
      )
      expect(frames[0]).toMatchObject({ type: 'welcome' })
      expect(frames.filter((f) => f.type === 'error')).toEqual([])
    }
    await expect
      .poll(async () => {
        const path = `/v1/conversations/${conversation.id}/messages?limit=10`
        const page = await curl<{
          messages: { id: string; seq: number; body: { text: string } }[]
        }>('GET', path, undefined, ben.accessToken)
        return page.messages.map((m) => ({ id: m.id, text: m.body.text })).reverse()
      })
      .toEqual(said)
  },
)
