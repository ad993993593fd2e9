import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DatabaseServer } from './database.ts'
import { databaseChecks } from './database-checks.ts'
import { startEmbeddedServer } from './database-embedded-server.ts'
import { databaseFaults } from './database-planted-faults.ts'

/**
 * The suite itself is tested here: between suite and adapter stands a fault, and a check of the rule it breaks must
 * fail. The same checks pass on the whole adapter in `embedded-database.contract.test.ts`.
 */

/**
 * Long enough for what passes; a fault that keeps something from coming is noticed when it is over. Checks that break
 * the server have the suite's own, so that a slow restart is not taken for what they are to notice.
 */
const deadlineMs = 2_000

describe('the suite of Database notices', () => {
  let server: DatabaseServer
  beforeAll(async () => {
    server = await startEmbeddedServer()
  })
  afterAll(() => server?.stop())

  for (const fault of databaseFaults) {
    it(`[${fault.rule}] ${fault.name}`, async () => {
      const ofRule = databaseChecks.filter(
        ({ name, breaks }) => name.includes(`[${fault.rule}]`) && breaks === fault.breaks,
      )
      expect(ofRule).not.toEqual([])
      const noticed: string[] = []
      for (const { name, run } of ofRule) {
        const harness = await server.harness(fault.breaks ? fault : { ...fault, deadlineMs })
        try {
          await run(harness)
        } catch {
          noticed.push(name)
        } finally {
          await harness.dispose()
        }
        if (noticed.length > 0) break
      }
      expect(noticed).not.toEqual([])
    })
  }
})
