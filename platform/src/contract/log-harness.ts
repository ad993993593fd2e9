import type { Log } from '@parley/platform/ports/log'

/** What a suite's check gets: an empty log of its own, and the ways to end it. */
export interface LogHarness {
  /** At least 4 partitions. */
  readonly topic: string
  /** A second topic with at least 1 partition. */
  readonly otherTopic: string
  /** The bound that the logs opened here have. */
  readonly maxRecordBytes: number
  /** How long a check waits for anything before it fails. */
  readonly deadlineMs: number
  /**
   * Opens the log, again and again on the same stored data; the one before was closed. With `quickCutOff` a member
   * that doesn't let go in a rebalance is cut off well within the deadline, else well after.
   */
  open(options?: { quickCutOff?: boolean }): Promise<Log>
  /** How another process opens the same log: a module with `openInChild(settings): Promise<Log>`. */
  readonly child: { module: string; settings: Record<string, unknown> }
  /** Closes what is still open and removes what is stored. */
  dispose(): Promise<void>
}

/** One thing that the port promises. `run` throws when it doesn't hold. */
export interface LogCheck {
  /** Begins with the ids of the rules it proves. */
  name: string
  run(harness: LogHarness): Promise<void>
}
