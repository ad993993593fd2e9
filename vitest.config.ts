import { defineConfig } from 'vitest/config'

/**
 * unit: beside the source. contract: one suite a port, run on every adapter. simulation: seeded, no real I/O.
 * e2e: real processes, black-box over the wire. Groups run one after another, so that the timed ones have the machine.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          sequence: { groupOrder: 0 },
          include: [
            '{proto,platform,gateway,chat-service,presence-service,storage-worker,loadtest,deploy,web}/**/*.test.ts',
            'tests/{docs,import-rules}/**/*.test.ts',
          ],
          exclude: ['**/node_modules/**', 'platform/src/contract/**'],
        },
      },
      {
        test: {
          name: 'contract',
          sequence: { groupOrder: 1 },
          include: ['platform/src/contract/**/*.test.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'simulation',
          sequence: { groupOrder: 2 },
          include: ['tests/simulation/**/*.test.ts'],
          testTimeout: 120_000,
        },
      },
      {
        test: {
          name: 'e2e',
          sequence: { groupOrder: 3 },
          include: ['tests/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
