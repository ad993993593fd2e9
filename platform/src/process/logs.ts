import { type DestinationStream, type Logger, pino } from 'pino'

export type { Logger }
/** What adapters need of a logger. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>
export function createLogger(options: {
  name: string
  level: string
  destination?: DestinationStream
}): Logger {
  return pino(
    { name: options.name, level: options.level },
    options.destination ?? pino.destination(1),
  )
}
