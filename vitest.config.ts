import { defineConfig } from 'vitest/config'

/** System tests that mostly wait, for timers and for daemons that start, and measure no rate: they wait together. */
const WAITING = [
  'test/system/tunnel/own-neighbours.test.ts',
  'test/system/tunnel/neighbours.test.ts',
  'test/system/tunnel/nud-kernel.test.ts',
  'test/system/netlink/links.test.ts',
  'test/system/switch/kinds.test.ts',
  'test/system/switch/links.test.ts',
  'test/system/switch/reload.test.ts',
  'test/system/switch/start.test.ts',
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
          include: ['test/system/**/*.test.ts'],
          exclude: WAITING,
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
          name: 'system-waiting',
          include: WAITING,
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
