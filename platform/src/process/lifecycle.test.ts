import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { createLifecycle } from './lifecycle.ts'

const fixture = fileURLToPath(new URL('./fixtures/run-main.ts', import.meta.url))

interface Run {
  child: ChildProcess
  ended: Promise<{ code: number | null; out: string; err: string }>
  /** Resolves when stdout holds the text. */
  said(text: string): Promise<void>
}

function run(...args: string[]): Run {
  const child = spawn(process.execPath, [fixture, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    out += chunk
  })
  child.stderr.setEncoding('utf8').on('data', (chunk) => {
    err += chunk
  })
  return {
    child,
    ended: once(child, 'close').then(([code]) => ({ code, out, err })),
    async said(text) {
      while (!out.includes(text)) {
        if (child.exitCode !== null) throw new Error(`it ended without saying ${text}: ${err}`)
        await once(child.stdout, 'data')
      }
    },
  }
}

describe('runMain', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)(
    '%s stops in the opposite order and exits 0',
    async (signal) => {
      const { child, said, ended } = run('serve')
      await said('ready')
      child.kill(signal)
      expect(await ended).toEqual({
        code: 0,
        out: 'ready\nstopped second\nstopped first\n',
        err: '',
      })
    },
  )

  test('a part that does not stop in time is given up, the others are stopped, and the exit is 1', async () => {
    const { child, said, ended } = run('stuck')
    await said('ready')
    child.kill('SIGTERM')
    const { code, out, err } = await ended
    expect(code).toBe(1)
    expect(out).toBe('ready\nstopped second\nstopped first\n')
    expect(err).toContain('stuck did not stop: Error: not stopped after 50 ms')
  })

  test('a second signal exits 1 at once', async () => {
    const { child, said, ended } = run('slow')
    await said('ready')
    child.kill('SIGTERM')
    await said('stopped second')
    child.kill('SIGTERM')
    expect(await ended).toMatchObject({ code: 1, out: 'ready\nstopped second\n' })
  })

  test('a signal during the start interrupts it and stops what there is', async () => {
    const { child, said, ended } = run('signal-while-starting')
    await said('starting')
    child.kill('SIGTERM')
    const { code, out } = await ended
    expect({ code, out: out.replace('ready\n', '') }).toEqual({
      code: 0,
      out: 'starting\nstopped second\nstopped first\n',
    })
  })

  test('what a start adds while everything is being stopped is stopped too', async () => {
    const { child, said, ended } = run('slow-start')
    await said('starting')
    child.kill('SIGTERM')
    child.kill('SIGUSR2')
    expect(await ended).toMatchObject({
      code: 0,
      out: 'starting\nready\nstopped late\nstopped second\nstopped first\n',
    })
  })

  test.each([
    ['settings', 'fixture: PARLEY_N is not set; it must be a whole number from 1 to 2\n'],
    ['start-error', 'fixture: the data folder is in use\n'],
  ])(
    'a start that fails for a known reason says one sentence and exits 1 (%s)',
    async (what, sentence) => {
      expect(await run(what).ended).toEqual({
        code: 1,
        out: 'stopped second\nstopped first\n',
        err: sentence,
      })
    },
  )

  test('a port in use is one sentence that names it, and exits 1', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const { code, err } = await run('port', String(port)).ended
    server.close()
    expect(code).toBe(1)
    expect(err).toMatch(new RegExp(`^fixture: port ${port} on 127.0.0.1 is in use: .*\n$`))
  })

  test('an unknown error in the start prints its stack and exits 1', async () => {
    const { code, err } = await run('unknown-error').ended
    expect(code).toBe(1)
    expect(err).toMatch(/^fixture: TypeError: what no one expected\n {4}at .*run-main\.ts/)
  })

  test.each(['uncaught', 'unhandled'])('an error that nobody caught exits 1 (%s)', async (what) => {
    const { code, err, out } = await run(what).ended
    expect(code).toBe(1)
    expect(err).toContain('out of nowhere')
    expect(out).toBe('ready\n')
  })

  test('the last lines of the log are out before the exit', async () => {
    const { code, out } = await run('logged').ended
    expect(code).toBe(1)
    expect(out).toContain('"level":"fatal"')
    expect(out).toContain('thrown out of nowhere')
  })
})

test('[G8] a log that nobody reads keeps the process neither from working nor from ending', async () => {
  const { child, ended } = run('stalled')
  child.stdout?.pause()
  let err = ''
  child.stderr?.on('data', (chunk) => {
    err += chunk
  })
  while (!err.includes('still working')) await once(child.stderr as NodeJS.ReadableStream, 'data')
  child.kill('SIGTERM')
  await once(child, 'exit')
  child.stdout?.resume()
  expect((await ended).err).toContain('stopped first')
})

describe('createLifecycle', () => {
  test('every stop is called once, also when stop is asked twice', async () => {
    const calls: string[] = []
    const lifecycle = createLifecycle()
    lifecycle.add('a', () => void calls.push('a'), 100)
    lifecycle.add('b', () => void calls.push('b'), 100)
    expect(await Promise.all([lifecycle.stop(), lifecycle.stop()])).toEqual([true, true])
    expect(await lifecycle.stop()).toBe(true)
    expect(calls).toEqual(['b', 'a'])
  })

  test('what is added after the end is stopped at once', async () => {
    const lifecycle = createLifecycle()
    await lifecycle.stop()
    expect(lifecycle.stopping.aborted).toBe(true)
    await new Promise<void>((resolve) => lifecycle.add('late', resolve, 100))
  })
})
