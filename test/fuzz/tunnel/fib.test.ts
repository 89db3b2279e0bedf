import fc from 'fast-check'
import { test } from 'vitest'
import { agrees } from '../../system/netlink/fib-agrees.ts'
import { rounds } from '../../system/netlink/fib-random.ts'

/** FIB_RUNS histories from FIB_SEED on; a failure prints the seed and path that bring it back (FIB_SEED, FIB_PATH). */
test('look-ups are those of the kernel, and the state that of a fresh mirror, whatever happens', async () => {
  const { FIB_RUNS, FIB_SEED, FIB_PATH } = process.env
  await fc.assert(
    fc.asyncProperty(rounds, (history) => agrees(history)),
    {
      numRuns: Number(FIB_RUNS ?? 50),
      endOnFailure: true,
      ...(FIB_SEED === undefined ? {} : { seed: Number(FIB_SEED) }),
      ...(FIB_PATH === undefined ? {} : { path: FIB_PATH }),
    },
  )
})
