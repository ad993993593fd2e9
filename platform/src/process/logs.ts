import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino'
import { createScrubber, withoutSecrets } from './redaction.ts'

export type { Logger }

/** What adapters need of a logger. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

export const logLevels = ['silent', 'fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const
export type LogLevel = (typeof logLevels)[number]

export interface LoggerOptions {
  /** The process's name, in every line. */
  name: string
  level: LogLevel
  /** Values never to be written, wherever they turn up: those of `secretValues`. */
  secrets?: readonly string[]
  /** Without it stdout, buffered up to 1 MiB; beyond that lines are dropped rather than the process held up. */
  destination?: DestinationStream
}

const bufferBytes = 1024 * 1024

/**
 * JSON lines with ISO time. Secrets and message bodies are struck out twice: by the names of fields, at any depth, and
 * by how the finished line looks. Errors are written as type, code, message and stack; what a database adds to them
 * (details, statements, parameters) is not.
 */
export function createLogger({ name, level, secrets = [], destination }: LoggerOptions): Logger {
  const scrub = createScrubber(secrets)
  const log = pino(
    {
      name,
      level,
      base: { name, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: {
        level: (label) => ({ level: label }),
        log: withoutSecrets,
      },
      // Errors are plain objects by now.
      serializers: { err: (error: unknown) => error },
      hooks: { streamWrite: scrub },
    },
    destination ?? standardOutput(),
  )
  // A child asks no formatter for its bindings. Its prototype is its parent, so this covers all generations.
  const { child } = log
  log.child = function (this: Logger, bindings: object, ...options: []) {
    return child.call(this, withoutSecrets({ ...bindings }), ...options)
  } as typeof log.child
  return log
}

function standardOutput(): DestinationStream {
  // A minLength of 0 would make `flush` answer before the lines are out.
  const stream = pino.destination({ dest: 1, sync: false, minLength: 1, maxLength: bufferBytes })
  // The reader of our output may go away first.
  stream.on('error', () => {})
  return stream
}

/** False when the lines are not out in time: whoever reads our output has stalled. */
export function flushLog(log: Pick<Logger, 'flush'>, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, timeoutMs, false)
    log.flush(() => {
      clearTimeout(timer)
      resolve(true)
    })
  })
}
