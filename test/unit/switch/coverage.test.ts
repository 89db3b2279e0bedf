import { expect, test } from 'vitest'
import type { DatapathClient } from '../../../src/datapath/client.ts'
import type { DpifCounters } from '../../../src/datapath/contract.ts'
import { ManualClock } from '../../../src/lib/clock.ts'
import { Counters } from '../../../src/lib/counters.ts'
import type { Udpif } from '../../../src/ofproto/udpif.ts'
import { createPortStats, MAX_PORTS, PORT_STAT_WORDS, PS_DROPS } from '../../../src/port/contract.ts'
import { dropIndex } from '../../../src/port/drop.ts'
import { DropTotals, registerCoverage } from '../../../src/switch/coverage.ts'

const registered = (totals: DropTotals): Counters => {
  const counters = new Counters(new ManualClock())
  const datapath = { counters: (out: DpifCounters) => Object.assign(out, { misses: 7 }) } as unknown as DatapathClient
  const udpif = {
    status: () => ({ upcalls: { upcalls: 3, installed: 2 }, revalidation: { passes: 5 } }),
  } as unknown as Udpif
  registerCoverage(counters, datapath, udpif, totals)
  return counters
}

test('drops are summed over ports and threads, by reason', () => {
  const [a, b] = [createPortStats(), createPortStats()]
  a[3 * PORT_STAT_WORDS + PS_DROPS + dropIndex('tx-mtu')] = 4
  b[(MAX_PORTS - 1) * PORT_STAT_WORDS + PS_DROPS + dropIndex('tx-mtu')] = 5
  b[3 * PORT_STAT_WORDS + PS_DROPS + dropIndex('port-down')] = 6
  const counters = registered(
    new DropTotals(
      () => [a, b],
      () => MAX_PORTS - 1,
    ),
  )
  expect(['drop_tx_mtu', 'drop_port_down', 'drop_ring_full'].map((name) => counters.total(name))).toEqual([9, 6, 0])
  expect(['datapath_miss', 'upcall_installed', 'revalidate_passes'].map((name) => counters.total(name))).toEqual([
    7, 2, 5,
  ])
})

test('what a thread has counted stays when it is gone for good', () => {
  const [a, b] = [createPortStats(), createPortStats()]
  const threads = new Set([a, b])
  const totals = new DropTotals(
    () => threads,
    () => 3,
  )
  for (const stats of [a, b]) stats[3 * PORT_STAT_WORDS + PS_DROPS + dropIndex('tx-mtu')] = 4
  totals.retire(b)
  threads.delete(b)
  expect(totals.total(dropIndex('tx-mtu'))).toBe(8)
  expect(totals.total(dropIndex('port-down'))).toBe(0)
})

test('a pass costs as much as ports there have been: with a hundred and nine threads less than 5 ms', () => {
  const threads = Array.from({ length: 9 }, createPortStats)
  const counters = registered(
    new DropTotals(
      () => threads,
      () => 100,
    ),
  )
  const once = (): number => {
    const start = performance.now()
    for (const name of counters.names()) counters.total(name)
    return performance.now() - start
  }
  expect(Math.min(...Array.from({ length: 5 }, once))).toBeLessThan(5)
})
