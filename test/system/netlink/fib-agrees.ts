/** The property that the mirror of the FIB stands for, on one random history of a namespace. */
import { expect } from 'vitest'
import type { FibQuery, FibResult } from '../../../src/tunnel/fib-contract.ts'
import {
  askHops,
  askKernel,
  batch,
  caughtUp,
  createUnderlay,
  defaultHops,
  insteadInWords,
  inWords,
  keepAnswers,
  type Mirror,
  openMirror,
  queryOf,
  snapshot,
} from './fib-kernel.ts'
import { asks } from './fib-random.ts'
import { ip } from './netns.ts'

interface Kernel {
  readonly answer: string
  /** Of the route that wins, where it has several. */
  readonly hops: readonly string[] | undefined
  /** Of all IPv4 default routes. */
  readonly defaults: readonly string[]
}

/**
 * A route with one next hop has one answer, the kernel's. Of a route with several the kernel takes one of ours, and ours are all among them. Only where there are several
 * IPv4 default routes may it be one that we have named as what the kernel may take instead; those are default routes.
 */
const agree = (mirror: Mirror, query: FibQuery, result: FibResult, { answer, hops, defaults }: Kernel): boolean => {
  const ours = inWords(mirror, result)
  const among = (known: readonly string[], ways: readonly string[]): boolean =>
    ways.every((way) => known.includes(way.split(' ').slice(1, 3).join(' ')))
  // What an IPv6 router would do instead of a host.
  const instead = query.dst.length === 4 ? insteadInWords(mirror, result) : []
  if (instead.length > 0) {
    const all = [...ours, ...instead]
    const isDefault = result.type === 'found' && result.prefix.length === 0
    return isDefault && query.iif === undefined && ours.length === 1 && all.includes(answer) && among(defaults, all)
  }
  if (hops) return ours.includes(answer) && among(hops, ours)
  return ours.length === 1 && ours[0] === answer
}

/** Where we and the kernel differ; without neighbours only in IPv4, where all that they might lead to is named. */
export const differences = (mirror: Mirror): unknown[] => {
  const { netns, fib, plain } = mirror
  const answers = askKernel(netns, asks)
  const hops = askHops(netns, asks)
  const defaults = defaultHops(netns)
  return asks.flatMap((ask, i) => {
    const query = queryOf(mirror, ask)
    const kernel = { answer: answers[i]!, hops: hops[i], defaults }
    return [fib, ...(query.dst.length === 4 ? [plain] : [])].flatMap((one) => {
      const result = one.lookup(query)
      if (agree(mirror, query, result, kernel)) return []
      const ours = [inWords(mirror, result), insteadInWords(mirror, result)]
      return [{ ask, kernel: answers[i], hops: hops[i], ours, neighbours: one === fib }]
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
