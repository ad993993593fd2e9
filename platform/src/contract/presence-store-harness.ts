import type { PresenceStore } from '@parley/platform/ports/presence-store'

export interface PresenceStoreHarness {
  /** Two ends of one new store; on an adapter within one process they may be the same object. */
  open(options: { shards: number }): Promise<{ one: PresenceStore; other: PresenceStore }>
  /** Takes the store away from both ends, and gives it back; only where the harness can. */
  readonly link?: { cut(): Promise<void>; mend(): Promise<void> }
  /** How long a check waits for anything before it fails. */
  readonly deadlineMs: number
  /** How far the store's clock may be from this process's, and how coarse it may be. */
  readonly clockSlackMs: number
  /** Closes what is still open. */
  dispose(): Promise<void>
}

/** One thing that the port promises. `run` throws when it doesn't hold. */
export interface PresenceStoreCheck {
  /** Begins with the ids of the rules it proves. */
  name: string
  /** Needs a harness with a `link`. */
  breaks?: true
  run(harness: PresenceStoreHarness): Promise<void>
}
