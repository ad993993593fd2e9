import { afterAll, beforeAll, describe, it } from 'vitest'
import { databaseChecks } from './database-checks.ts'
import type { DatabaseHarness } from './database-harness.ts'
import type { DatabaseFault } from './database-planted-faults.ts'

/** One server for the whole suite; each check gets a harness on it, closed by `dispose`. */
export interface DatabaseServer {
  /** With a planted fault between the check and the adapter, to test the suite itself. */
  harness(
    fault?: Pick<DatabaseFault, 'wrap' | 'limits'> & { deadlineMs?: number },
  ): Promise<DatabaseHarness & { dispose(): Promise<void> }>
  stop(): Promise<void>
}

/** Registers the suite of the port `Database` for one adapter. */
export function databaseContract(
  adapter: string,
  { breakable, start }: { breakable: boolean; start(): Promise<DatabaseServer> },
): void {
  describe(`Database on ${adapter}`, () => {
    let server: DatabaseServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    for (const { name, breaks, run } of databaseChecks) {
      it.skipIf(breaks === true && !breakable)(name, async () => {
        const harness = await server.harness()
        try {
          await run(harness)
        } finally {
          await harness.dispose()
        }
      })
    }
  })
}
