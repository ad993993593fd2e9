import { setTimeout as sleep } from 'node:timers/promises'
import { DatabaseUnavailable } from '@parley/platform/ports/database'
import { createLifecycle, type Lifecycle } from './lifecycle.ts'
import { flushLog } from './logs.ts'
import { SettingsError } from './settings.ts'
import { StartError } from './start-error.ts'

/** How long the last lines of the log may take to get out. */
const flushMs = 1_000
/** How long a signal during the start waits for it to settle before stopping what there is. */
const startSettleMs = 10_000

/**
 * A process from start to end: the one call of a `main.ts`. SIGTERM and SIGINT stop in order and exit 0 (1 when a part
 * did not stop); a second one exits 1 at once. An error that nobody caught is logged and exits 1 without stopping:
 * what state is left is unknown, and every part of ours survives a crash. A start that fails for a known reason says so
 * in one sentence on stderr and exits 1.
 */
export function runMain(name: string, start: (lifecycle: Lifecycle) => Promise<void>): void {
  const lifecycle = createLifecycle()
  let signals = 0
  let ending = false

  const end = async (code: 0 | 1) => {
    // Where nobody reads our output a normal exit would wait for its writes for ever.
    if (!(await flushLog(lifecycle.log, flushMs))) process.kill(process.pid, 'SIGKILL')
    process.exit(code)
  }
  const fatal = (err: unknown) => {
    lifecycle.log.fatal({ err }, 'an error that nobody caught')
    ending = true
    void end(1)
  }
  process.on('uncaughtException', fatal)
  process.on('unhandledRejection', fatal)

  const started = Promise.resolve(lifecycle).then(start)
  started.catch(async (error) => {
    // A start that was interrupted fails as it likes.
    if (ending) return
    ending = true
    process.stderr.write(`${name}: ${startFailure(error)}\n`)
    await lifecycle.stop()
    await end(1)
  })

  const onSignal = async (signal: NodeJS.Signals) => {
    signals += 1
    if (signals > 1) return end(1)
    if (ending) return
    ending = true
    lifecycle.log.info({ signal }, 'stopping')
    lifecycle.interrupt()
    const settled = started.catch(() => {})
    await Promise.race([settled, sleep(startSettleMs, undefined, { ref: false })])
    const clean = await lifecycle.stop()
    lifecycle.log.info({ clean }, 'stopped')
    await end(clean ? 0 : 1)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
}

/** One sentence for what an operator can mend, the stack for what only we can. */
export function startFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const known =
    error instanceof SettingsError ||
    error instanceof StartError ||
    error instanceof DatabaseUnavailable
  if (known) return error.message
  const { code, address, port, path } = error as NodeJS.ErrnoException & {
    address?: string
    port?: number
  }
  const where = port === undefined ? `${path ?? address}` : `port ${port} on ${address}`
  if (code === 'EADDRINUSE') {
    return `${where} is in use: stop what uses it, or choose another in the settings`
  }
  if (code === 'EADDRNOTAVAIL') return `${address} is no address of this machine`
  if (code === 'EACCES' && port !== undefined) return `${where} needs rights that this user lacks`
  return error.stack ?? error.message
}
