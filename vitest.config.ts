import { defineConfig } from 'vitest/config'

/** System tests that need the machine for themselves: they put load on it, look at all of it, or bring up labs by name. */
const ALONE = [
  'test/system/{bench,house,lab,native,tiers}/**/*.test.ts',
  'test/system/switch/{backpressure,golden,hygiene,tiers,worker-loss}.test.ts',
  'test/system/tunnel/{golden,scale}.test.ts',
]

/** Tests without a load of their own share two cores; by itself Vitest would leave one to its main process. */
const TOGETHER = { maxWorkers: 2 }

/** Levels of test, from no privileges to root; `scripts/test` runs each in turn. */
export default defineConfig({
  test: {
    pool: 'forks',
    testTimeout: 20_000,
    projects: [
      { extends: true, test: { ...TOGETHER, name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          ...TOGETHER,
          name: 'pipeline',
          include: ['test/pipeline/**/*.test.ts', 'test/compliance/**/*.test.ts'],
          setupFiles: ['test/pipeline/fixed-microflows.ts'],
        },
      },
      {
        extends: true,
        // Long random runs against the kernel, by hand: scripts/test does not run them.
        test: {
          name: 'fuzz',
          include: ['test/fuzz/**/*.test.ts'],
          globalSetup: ['test/system/kit/global-setup.ts'],
          testTimeout: 600_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'system',
          include: ALONE,
          globalSetup: ['test/system/kit/global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          // Two cores, and figures that depend on who else runs.
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          // They wait, for timers and for daemons that start, more than they work; and each has namespaces of its own.
          name: 'system-together',
          include: ['test/system/**/*.test.ts'],
          exclude: ALONE,
          globalSetup: ['test/system/kit/global-setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          maxWorkers: 3,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
})
