import type { ChildProcess } from 'node:child_process'
import type { Log } from '../process/logs.ts'

export interface ServerLog {
  /** The last line that said why the server can't go on. */
  complaint(): string | undefined
}

const lineLength = 500
/** Lines passed on in one window; the others are counted. */
const windowLines = 100
const windowMs = 10_000

/** Passes the server's stderr to our log, bounded in length and rate. It must be read always, else the server stops. */
export function readServerLog(child: ChildProcess, log: Log): ServerLog {
  let last: string | undefined
  let windowStart = 0
  let lines = 0
  child.on('error', (error) => {
    last = error.message
  })
  if (child.stderr === null) return { complaint: () => last }
  child.stderr.on('error', () => {})
  let rest = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    const whole = (rest + chunk).split('\n')
    rest = (whole.pop() ?? '').slice(0, lineLength)
    for (const line of whole) pass(line.slice(0, lineLength))
  })

  function pass(line: string): void {
    const [, level = 'LOG', text = line] = /^([A-Z]+):\s+(.*)$/.exec(line) ?? []
    if (level === 'FATAL' || level === 'PANIC') last = text
    const now = Date.now()
    if (now - windowStart >= windowMs) {
      if (lines > windowLines) log.warn({ lines: lines - windowLines }, 'PostgreSQL said more')
      windowStart = now
      lines = 0
    }
    if (++lines > windowLines) return
    if (level === 'PANIC') log.error({ postgres: level }, text)
    else log.debug({ postgres: level }, text)
  }
  return { complaint: () => last }
}
