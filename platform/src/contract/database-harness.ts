import type { Database } from '@parley/platform/ports/database'

/** What a suite's check gets: a server, and on it a schema of its own. */
export interface DatabaseHarness {
  /** Empty; the check qualifies its tables by it. */
  readonly schema: string
  /** How long a check waits for anything before it fails. */
  readonly deadlineMs: number
  open(limits?: DatabaseLimits): Promise<Database>
  /** Absent where the server is not ours to break; checks that need it are skipped then. */
  readonly server?: ServerControl
}

export interface DatabaseLimits {
  poolMax?: number
  waitingMax?: number
  acquireTimeoutMs?: number
  statementTimeoutMs?: number
}

export interface ServerControl {
  /** Kills every process of the server with SIGKILL, the first one first; resolves when none is left. */
  crash(): Promise<void>
  /** Holds every process of the server as it is; `thaw` lets them go on. */
  freeze(): Promise<void>
  thaw(): Promise<void>
  /** Resolves when the server answers again, with or without somebody's doing. */
  back(): Promise<void>
}

/** One thing that the port promises. `run` throws when it doesn't hold. */
export interface DatabaseCheck {
  /** Begins with the ids of the rules it proves. */
  name: string
  /** It breaks the server. */
  breaks?: true
  run(harness: DatabaseHarness): Promise<void>
}
