import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Counters } from '../kit/daemon.ts'
import { iperf } from '../kit/iperf.ts'
import { ping } from '../kit/ping.ts'
import { type Bed, ip4, mac, startBed } from './beds.ts'

let it_: Bed
beforeAll(async () => {
  it_ = await startBed()
})
afterAll(() => it_?.bed.close())

const upcalls = async (): Promise<number> =>
  Number((await it_.daemon.verb('upcall/show')).match(/upcalls?\D*(\d+)/i)?.[1])

const misses = (counters: Counters): number => counters.dpif.misses

const between = (from: 'vm0' | 'vm2' | 'c0', to: 'vm1' | 'vm0') =>
  it_.daemon
    .flows()
    .then((flows) =>
      flows.filter((f) => f.match.includes(`src=${mac(from)},dst=${mac(to)}`) && f.match.includes('eth_type(0x0800)')),
    )

describe('a flow', () => {
  it('costs one upcall with its first packet, then none', async () => {
    // Neighbours known beforehand, so that the echo requests and replies are all the traffic.
    await ping(it_.guests.vm2, ip4('c0'), { count: 1 })
    await it_.daemon.verb('revalidator/purge').catch(() => it_.daemon.verb('dpctl/del-flows'))
    const before = misses(await it_.daemon.counters())
    expect(await ping(it_.guests.vm2, ip4('c0'), { count: 1 })).toMatchObject({ loss: 0 })
    const first = misses(await it_.daemon.counters())
    // One each way.
    expect(first - before).toBe(2)
    expect(await ping(it_.guests.vm2, ip4('c0'), { count: 50, interval: 0.01 })).toMatchObject({ loss: 0 })
    expect(misses(await it_.daemon.counters())).toBe(first)
    expect(await upcalls()).not.toBeNaN()
  })

  it('within a NIC leaves the datapath alone once it is offloaded', async () => {
    const { guests, daemon } = it_
    await ping(guests.vm0, ip4('vm1'), { count: 5 })
    await daemon.until(
      'both directions offloaded',
      () => between('vm0', 'vm1'),
      (flows) => flows.some((f) => f.offloaded),
    )
    const before = await daemon.counters()
    const result = await iperf(guests.vm0, guests.vm1, ip4('vm1'), { seconds: 2 })
    const after = await daemon.counters()
    expect(result.bytes).toBeGreaterThan(10e6)
    // ARP, neighbour discovery and the like may pass; the transfer's thousands of frames may not.
    expect(after.dpif.frames - before.dpif.frames).toBeLessThan(100)
    const [flow] = (await between('vm0', 'vm1')).toSorted((a, b) => b.packets - a.packets)
    expect(flow).toMatchObject({ offloaded: true, eswitch: 'nic0' })
    // Statistics are those of tier 3, in packets as on a wire.
    expect(flow!.packets).toBeGreaterThan(result.bytes / 1448)
    expect(flow!.bytes).toBeGreaterThan(result.bytes)
  })

  it('that no NIC can carry says why', async () => {
    const { guests, daemon } = it_
    await ping(guests.vm2, ip4('vm0'))
    await ping(guests.c0, ip4('vm0'))
    expect((await between('vm2', 'vm0'))[0]).toMatchObject({ offloaded: false, reason: 'switch-id' })
    expect((await between('c0', 'vm0'))[0]).toMatchObject({ offloaded: false, reason: 'no-eswitch' })
    expect(await daemon.appctl('dpctl/dump-flows', '-m')).toMatch(/offloaded:yes/)
    expect(await daemon.appctl('dpctl/dump-flows', '-m', 'type=offloaded')).not.toMatch(/offloaded:no/)
  })
})
