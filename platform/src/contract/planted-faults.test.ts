import { describe, expect, it } from 'vitest'
import { busChecks } from './bus-checks.ts'
import { createMemoryBusHarness } from './bus-memory-harness.ts'
import { logChecks } from './log-checks.ts'
import { createLmdbHarness } from './log-lmdb-harness.ts'
import { busFaults } from './planted-faults-bus.ts'
import { logFaults, withoutFault } from './planted-faults-log.ts'

/**
 * The suites themselves are tested here: between suite and adapter stands a fault, and the checks of the rule it
 * breaks must fail. The same checks pass on the whole adapters in `lmdb-log.contract.test.ts` and
 * `memory-bus.contract.test.ts`.
 */

interface Disposable {
  dispose(): Promise<void>
}

/** Long enough for every check that passes; a fault that loses something is noticed when it is over. */
const deadlineMs = 1_500

/** The names of the rule's checks that fail. */
async function failing<H extends Disposable>(
  checks: readonly { name: string; run(harness: H): Promise<void> }[],
  rule: string,
  makeHarness: () => Promise<H>,
): Promise<string[]> {
  const ofRule = checks.filter(({ name }) => name.includes(`[${rule}]`))
  expect(ofRule).not.toEqual([])
  const outcomes = await Promise.all(
    ofRule.map(async ({ name, run }) => {
      const harness = await makeHarness()
      try {
        await run(harness)
        return []
      } catch {
        return [name]
      } finally {
        await harness.dispose()
      }
    }),
  )
  return outcomes.flat()
}

describe('the suite of Log notices', () => {
  // Processes of their own see nothing of a fault planted here.
  const inProcess = logChecks.filter(({ name }) => !name.includes('kill -9'))
  for (const { name, rule, wrap } of logFaults) {
    it.concurrent(`[${rule}] ${name}`, async () => {
      const noticed = await failing(inProcess, rule, () => createLmdbHarness(deadlineMs, wrap))
      expect(noticed).not.toEqual([])
    })
  }

  it('nothing where there is no fault', async () => {
    for (const { name, run } of inProcess) {
      const harness = await createLmdbHarness(10_000, withoutFault)
      await expect(run(harness).then(() => name)).resolves.toBe(name)
      await harness.dispose()
    }
  })

  it('[LOG1] an append acknowledged before it is written', async () => {
    const module = new URL('./planted-faults-child.ts', import.meta.url).href
    const crash = logChecks.filter(({ name }) => name.includes('kill -9'))
    const noticed = await failing(crash, 'LOG1', () => createLmdbHarness(10_000, undefined, module))
    expect(noticed).not.toEqual([])
  })
})

describe('the suite of Bus notices', () => {
  for (const { name, rule, wrap } of busFaults) {
    it.concurrent(`[${rule}] ${name}`, async () => {
      const noticed = await failing(busChecks, rule, () => createMemoryBusHarness(deadlineMs, wrap))
      expect(noticed).not.toEqual([])
    })
  }
})
