import { afterAll, describe, expect, it } from 'vitest'
import type { FlowReply } from '../../../src/control/replies.ts'
import { Capture } from '../kit/capture.ts'
import type { Daemon } from '../kit/daemon.ts'
import { needKernel } from '../kit/kernel.ts'
import { ping } from '../kit/ping.ts'
import type { Guest } from '../kit/testbed.ts'
import { fields } from '../kit/tshark.ts'
import { ipBatch } from '../kit/underlay.ts'
import { flowsBetween, verdictOf } from './flows.ts'
import { A, B, type Single, startSingle } from './single.ts'

/** The lab mtu shows the same over IPv4 with its verdicts; here is what it leaves out. */

const open: Single[] = []
const start = async (...options: Parameters<typeof startSingle>): Promise<Single> => {
  const single = await startSingle(...options)
  open.push(single)
  return single
}
afterAll(async () => {
  for (const { bed } of open) await bed.close()
})

/** MTU towards `to` that the guest's stack has learned. */
const pathMtu = async (guest: Guest, to: string): Promise<number | undefined> => {
  const text = await guest.must(['ip', 'route', 'get', to])
  const mtu = text.match(/mtu (\d+)/)?.[1]
  return mtu === undefined ? undefined : Number(mtu)
}

/** What became of packets too big for the tunnel. */
const counters = async (daemon: Daemon): Promise<Record<string, number>> =>
  Object.fromEntries(
    [...(await daemon.verb('coverage/show')).matchAll(/^tunnel_mtu_(\S+) .*total: (\d+)$/gm)].map(([, name, n]) => [
      name!,
      Number(n),
    ]),
  )

describe('over an IPv6 underlay of 1500 bytes', () => {
  it.each([
    ['IPv4', A.ip, B.ip, 1500 - 28],
    ['IPv6', A.ip6, B.ip6, 1500 - 48],
  ] as const)('an %s guest that sends 1500 bytes is told 1430', async (_, own, to, size) => {
    const single = open[0] ?? (await start({ version: 6, mtu: 1500 }))
    const { bed, guests } = single
    const capture = await Capture.start(bed, guests.a, 'vf0', { direction: 'in', filter: 'icmp or icmp6' })
    expect((await ping(guests.a, to, { count: 2, size, dontFragment: true, wait: 1 })).received).toBe(0)
    expect(await pathMtu(guests.a, to)).toBe(1430)
    await capture.until(1)
    await capture.stop()
    // From the address that the packet was for, to the one that sent it, and about it.
    const names = own.includes(':') ? ['ipv6.src', 'ipv6.dst', 'icmpv6.mtu'] : ['ip.src', 'ip.dst', 'icmp.mtu']
    const rows = await fields(capture.path, ...names)
    expect(rows.filter((row) => row[2]!.length > 0)[0]).toEqual([[to, own], [own, to], ['1430']])
    // What fits goes.
    expect(await ping(guests.a, to, { count: 2, size: size - 70, dontFragment: true })).toMatchObject({ loss: 0 })
  })
})

it('a guest whose MTU is too large for the uplink over IPv6 is not offloaded, with the figures, and is when the uplink’s MTU has changed', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const { daemon, guests } = open[0]!
  expect(await ping(guests.a, B.ip, { count: 2 })).toMatchObject({ loss: 0 })
  const there = async (): Promise<FlowReply> => (await flowsBetween(daemon, A.mac, B.mac))[0]!
  const refused = await there()
  expect(verdictOf(refused)).toBe('mtu')
  expect(refused.why).toContain('up to 1500 bytes, 70 more on the way to fd00::2, and the MTU of p0 is 1500')
  const until = (verdict: string): Promise<FlowReply> =>
    daemon.until(`a -> b: ${verdict}`, there, (flow) => verdictOf(flow) === verdict)
  await ipBatch(guests.peer, ['link set p0 mtu 1569'])
  await ipBatch(guests.hv1, ['link set br-phy mtu 1600'])
  await daemon.until('the figures are new', there, ({ why }) => why.includes('1569'))
  await ipBatch(guests.peer, ['link set p0 mtu 1570'])
  await until('offloaded')
  await ipBatch(guests.peer, ['link set p0 mtu 1569'])
  await until('mtu')
})

it('with df_default=false the outer packet goes in fragments, which the kernel’s end puts together', async (context) => {
  await needKernel(context, 'vxlan', 'bridge', 'veth')
  const { bed, daemon, guests } = await start({ mtu: 1500, tunnel: { df_default: false } })
  const capture = await Capture.start(bed, guests.peer, 'p0', { direction: 'in', filter: 'ip[6:2] & 0x3fff != 0' })
  const heard = await Capture.start(bed, guests.b, 'eth0', { direction: 'in', filter: 'icmp' })
  await ping(guests.a, B.ip, { count: 3, size: 1400, exact: true })
  await ping(guests.a, B.ip, { count: 3, size: 1472, dontFragment: false, exact: true })
  await heard.until(6)
  const lengths = (await heard.stop()).map(({ length }) => length)
  expect(lengths).toEqual([1442, 1442, 1442, 1514, 1514, 1514])
  expect((await capture.stop()).length).toBe(6)
  expect(await counters(daemon)).toEqual({ fragmented: 3, fragments: 6 })
})
