import type { ChildProcess } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { createLogger } from '../process/logs.ts'
import { readServerLog } from './embedded-log.ts'

function child(): {
  stderr: PassThrough
  server: ChildProcess
  lines: Record<string, unknown>[]
  complaint: () => string | undefined
} {
  const stderr = new PassThrough()
  const server = Object.assign(new EventEmitter(), { stderr }) as unknown as ChildProcess
  const lines: Record<string, unknown>[] = []
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) }
  const log = createLogger({ name: 'test', level: 'debug', destination })
  const { complaint } = readServerLog(server, log)
  return { stderr, server, lines, complaint }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('passes lines on with their level and remembers why the server gave up', async () => {
  const { stderr, lines, complaint } = child()
  stderr.write('LOG:  starting\nFATAL:  data directory is bad\nPANIC:  all is lost\nno level\n')
  await turn()
  expect(lines.map(({ level, postgres, msg }) => [level, postgres, msg])).toEqual([
    ['debug', 'LOG', 'starting'],
    ['debug', 'FATAL', 'data directory is bad'],
    ['error', 'PANIC', 'all is lost'],
    ['debug', 'LOG', 'no level'],
  ])
  expect(complaint()).toBe('all is lost')
})

test('[G8] bounds the length of a line and the number of lines, and goes on reading', async () => {
  const { stderr, lines, complaint } = child()
  stderr.write(`LOG:  ${'x'.repeat(100_000)}\n`)
  for (let n = 0; n < 10_000; n++) stderr.write('LOG:  again\n')
  stderr.write('FATAL:  the end\n')
  await turn()
  expect(lines.length).toBeLessThanOrEqual(101)
  expect(Math.max(...lines.map((line) => String(line.msg).length))).toBeLessThanOrEqual(500)
  expect(complaint()).toBe('the end')
  expect(stderr.readableLength).toBe(0)
})

test('[G8] a line without an end is kept no longer than a line', async () => {
  const { stderr, lines } = child()
  for (let n = 0; n < 100; n++) stderr.write('x'.repeat(1 << 16))
  await turn()
  stderr.write('the rest\nLOG:  next\n')
  await turn()
  expect(lines.map(({ msg }) => msg)).toEqual(['x'.repeat(500), 'next'])
})

test('an error of the child does not go uncaught', () => {
  const { server, complaint } = child()
  server.emit('error', new Error('spawn ENOENT'))
  server.emit('error', new Error('kill EPERM'))
  expect(complaint()).toBe('kill EPERM')
})
