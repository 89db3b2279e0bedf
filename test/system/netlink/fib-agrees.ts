/** The property that the mirror of the FIB stands for, on one random history of a namespace. */
import { expect } from 'vitest'
import {
  askKernel,
  batch,
  caughtUp,
  createUnderlay,
  inWords,
  keepAnswers,
  type Mirror,
  openMirror,
  queryOf,
  snapshot,
} from './fib-kernel.ts'
import { asks } from './fib-random.ts'
import { ip } from './netns.ts'

/** Where we and the kernel differ; without neighbours only in IPv4, where all that they might lead to is named. */
export const differences = (mirror: Mirror): unknown[] => {
  const kernel = askKernel(mirror.netns, asks)
  return asks.flatMap((ask, i) => {
    const query = queryOf(mirror, ask)
    return [mirror.fib, ...(query.dst.length === 4 ? [mirror.plain] : [])].flatMap((fib) => {
      const ours = inWords(mirror, fib.lookup(query))
      return ours.includes(kernel[i]!) ? [] : [{ ask, kernel: kernel[i], ours, neighbours: fib === mirror.fib }]
    })
  })
}

/** The kernel's tables, for who reads a failure. */
const tables = (netns: string): string =>
  [
    ...[4, 6].flatMap((version) => [
      [`-${version}`, 'rule'],
      [`-${version}`, 'route', 'show', 'table', 'all'],
      [`-${version}`, 'neigh'],
    ]),
    ['nexthop'],
    ['-br', 'addr'],
  ]
    .map((words) => `${words.join(' ')}\n${ip('-n', netns, ...words)}`)
    .join('\n')

/**
 * After each batch: look-ups are those of the kernel, answers that were kept by the changes told are those of new look-ups, and the state is that of a fresh
 * mirror.
 */
export const agrees = async (rounds: readonly (readonly string[])[]): Promise<void> => {
  const netns = await createUnderlay()
  const mirror = await openMirror(netns)
  const outdated = keepAnswers(mirror, asks)
  for (const lines of rounds) {
    batch(netns, lines)
    try {
      // The kernel reports carrier when it finds time to.
      await expect
        .poll(
          async () => {
            await caughtUp(mirror)
            return differences(mirror)
          },
          { timeout: 4000, interval: 50 },
        )
        .toEqual([])
      expect(outdated()).toEqual([])
      const fresh = await openMirror(netns)
      expect(snapshot(mirror.fib)).toEqual(snapshot(fresh.fib))
      fresh.namespace.close()
    } catch (error) {
      throw new Error(`after\n${lines.join('\n')}\n${(error as Error).message}\n${tables(netns)}`, { cause: error })
    }
  }
  expect(mirror.fib.counters).toMatchObject({ malformed: 0, listenerErrors: 0, resyncs: 0 })
  mirror.namespace.close()
}
