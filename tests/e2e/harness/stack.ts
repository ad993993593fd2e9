/**
 * A running Parley as the tests see it: addresses, and hands to hurt it with. The standalone is one; a cluster will
 * be another, so that the same tests run on both.
 */
export interface Stack {
  readonly httpUrl: string
  /** One a gateway. */
  readonly wsUrls: readonly string[]
  /** All that its processes have printed so far. */
  logs(): string
  /** `kill -9` of every process at once. Data stays. */
  kill(): Promise<void>
  /** Starts again on the same data, perhaps at other addresses; from `ready` on it serves. */
  restart(): Promise<void>
  /** SIGTERM; the exit code, null when a signal ended it. */
  stop(deadlineMs?: number): Promise<number | null>
  /** Ends what still runs and removes the data. */
  dispose(): Promise<void>
}
