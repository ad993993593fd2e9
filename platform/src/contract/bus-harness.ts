import type { Bus } from '@parley/platform/ports/bus'

export interface BusHarness {
  /** Two ends of one bus; on an adapter within one process they may be the same object. */
  open(options: {
    onHandlerError(error: unknown, channel: string): void
  }): Promise<{ publisher: Bus; subscriber: Bus }>
  /** How long a check waits for anything before it fails. */
  readonly deadlineMs: number
  /** Closes what is still open. */
  dispose(): Promise<void>
}

/** One thing that the port promises. `run` throws when it doesn't hold. */
export interface BusCheck {
  /** Begins with the ids of the rules it proves. */
  name: string
  run(harness: BusHarness): Promise<void>
}
