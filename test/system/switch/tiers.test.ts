import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { iperf } from '../kit/iperf.ts'
import { type PingResult, ping } from '../kit/ping.ts'
import { sendFrames } from '../kit/scapy.ts'
import { type Bed, type GuestName, ip4, LINK, mac, NAMES, startBed } from './beds.ts'
import { hello } from './mix.ts'

let it_: Bed
/** Nothing here but what a test sends: no IPv6, neighbours known. */
let quiet: Bed
beforeAll(async () => {
  it_ = await startBed()
  quiet = await startBed({ addressed: false })
  for (const name of NAMES) {
    const guest = quiet.guests[name]
    await guest.sysctl('net.ipv6.conf.all.disable_ipv6', 1)
    await guest.address(LINK[name], `${ip4(name)}/24`)
    for (const other of NAMES)
      if (other !== name)
        await guest.must([
          'ip',
          'neigh',
          'replace',
          ip4(other),
          'lladdr',
          mac(other),
          'dev',
          LINK[name],
          'nud',
          'permanent',
        ])
  }
  // So that addresses are learned, and no flow floods.
  for (const name of NAMES) await sendFrames(quiet.guests[name], LINK[name], await hello(name))
})
afterAll(async () => {
  await it_?.bed.close()
  await quiet?.bed.close()
})

const between = (from: GuestName, to: GuestName) =>
  it_.daemon
    .flows()
    .then((flows) =>
      flows.filter((f) => f.match.includes(`src=${mac(from)},dst=${mac(to)}`) && f.match.includes('eth_type(0x0800)')),
    )

/** Pings from vm0 to vm1, and resolves when a NIC has both directions. */
const bothOffloaded = async (): Promise<void> => {
  await ping(it_.guests.vm0, ip4('vm1'), { count: 5 })
  await it_.daemon.until(
    'both directions offloaded',
    () => Promise.all([between('vm0', 'vm1'), between('vm1', 'vm0')]),
    (ways) => ways.every((flows) => flows.some((f) => f.offloaded)),
  )
}

describe('a flow', () => {
  it('costs one upcall with its first packet, then none', async () => {
    const { daemon, guests } = quiet
    const echo = (count: number): Promise<PingResult> =>
      ping(guests.vm2, ip4('c0'), { count, interval: 0.01, exact: true })
    const before = (await daemon.counters()).dpif
    expect(await echo(1)).toMatchObject({ loss: 0 })
    const first = (await daemon.counters()).dpif
    // A request and a reply.
    expect({ frames: first.frames - before.frames, misses: first.misses - before.misses }).toEqual({
      frames: 2,
      misses: 2,
    })
    expect(await echo(50)).toMatchObject({ loss: 0 })
    const last = (await daemon.counters()).dpif
    expect({ frames: last.frames - first.frames, misses: last.misses - first.misses }).toEqual({
      frames: 100,
      misses: 0,
    })
  })

  it('within a NIC leaves the datapath alone once it is offloaded', async () => {
    const { guests, daemon } = it_
    await bothOffloaded()
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
    await bothOffloaded()
    await ping(guests.vm2, ip4('vm0'))
    await ping(guests.c0, ip4('vm0'))
    expect((await between('vm2', 'vm0'))[0]).toMatchObject({ offloaded: false, reason: 'switch-id' })
    expect((await between('c0', 'vm0'))[0]).toMatchObject({ offloaded: false, reason: 'no-eswitch' })
    expect(await daemon.appctl('dpctl/dump-flows', '-m')).toMatch(/offloaded:yes/)
    expect(await daemon.appctl('dpctl/dump-flows', '-m', 'type=offloaded')).not.toMatch(/offloaded:no/)
  })
})
