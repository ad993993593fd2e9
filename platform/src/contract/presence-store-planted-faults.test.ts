import type { PresenceStore } from '@parley/platform/ports/presence-store'
import { describe, expect, it } from 'vitest'
import { presenceStoreChecks } from './presence-store-checks.ts'
import type { PresenceStoreHarness } from './presence-store-harness.ts'
import { createMemoryPresenceStoreHarness } from './presence-store-memory-harness.ts'
import { presenceStoreFaults } from './presence-store-planted-faults.ts'

/**
 * The suite itself is tested here: between suite and adapter stands a fault, and a check of the rule it breaks must
 * fail. The same checks pass on the whole adapter in `presence-store-memory.contract.test.ts`.
 */

/** Long enough for every check that passes; a fault that loses something is noticed when it is over. */
const deadlineMs = 1_500

/** A store in memory that can be taken away; with `quiet` it says nothing of it. */
async function breakableHarness({ quiet }: { quiet: boolean }): Promise<PresenceStoreHarness> {
  let away = false
  const unlessAway =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>, whenQuiet: R) =>
    async (...args: A): Promise<R> => {
      if (!away) return call(...args)
      if (quiet) return whenQuiet
      throw new Error('the store is away')
    }
  const wrap = (store: PresenceStore): PresenceStore => ({
    ...store,
    hold: unlessAway(store.hold, undefined),
    release: unlessAway(store.release, undefined),
    read: unlessAway(store.read, []),
    changed: unlessAway(store.changed, []),
  })
  return {
    ...(await createMemoryPresenceStoreHarness(deadlineMs, wrap)),
    link: {
      async cut() {
        away = true
      },
      async mend() {
        away = false
      },
    },
  }
}

describe('the suite of PresenceStore notices', () => {
  for (const { name, rule, wrap } of presenceStoreFaults) {
    it.concurrent(`[${rule}] ${name}`, async () => {
      const ofRule = presenceStoreChecks.filter(
        (check) => check.name.includes(`[${rule}]`) && check.breaks !== true,
      )
      expect(ofRule).not.toEqual([])
      const outcomes = await Promise.all(
        ofRule.map(async ({ name: check, run }) => {
          const harness = await createMemoryPresenceStoreHarness(deadlineMs, wrap)
          return run(harness)
            .then(
              () => [],
              () => [check],
            )
            .finally(() => harness.dispose())
        }),
      )
      expect(outcomes.flat()).not.toEqual([])
    })
  }

  const breaking = presenceStoreChecks.filter(({ breaks }) => breaks === true)

  it('[PS6] a store that is away and resolves', async () => {
    expect(breaking).not.toEqual([])
    for (const { run } of breaking) {
      const harness = await breakableHarness({ quiet: true })
      await expect(run(harness)).rejects.toThrow()
      await harness.dispose()
    }
  })

  it('[PS6] nothing where a store that is away says so', async () => {
    for (const { run } of breaking) {
      const harness = await breakableHarness({ quiet: false })
      await run(harness)
      await harness.dispose()
    }
  })
})
