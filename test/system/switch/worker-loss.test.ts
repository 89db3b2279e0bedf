/** An eswitch's worker dies, or stands still, while iperf3 runs through it: the guest keeps its link and traffic goes on. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { EswitchReply } from '../../../src/control/replies.ts'
import { iperf } from '../kit/iperf.ts'
import { ping } from '../kit/ping.ts'
import { type Bed, ip4, mac, startBed } from './beds.ts'

let it_: Bed
beforeAll(async () => {
  it_ = await startBed()
})
afterAll(async () => {
  await it_?.bed.close()
})

const nic0 = async (): Promise<EswitchReply> => (await it_.daemon.data<EswitchReply[]>('eswitch/show', 'nic0'))[0]!

const offloaded = (): Promise<boolean> =>
  it_.daemon
    .flows()
    .then((flows) => flows.some((f) => f.offloaded && f.match.includes(`src=${mac('vm0')},dst=${mac('vm1')}`)))

it.each(['crash', 'hang'] as const)('%s: traffic goes by the datapath until the worker is back', async (how) => {
  const { daemon, guests } = it_
  await ping(guests.vm0, ip4('vm1'), { count: 3 })
  await daemon.until('offloaded', offloaded, (yes) => yes)
  const before = { restarts: (await nic0()).restarts, frames: (await daemon.counters()).dpif.frames }
  const carrier = (await guests.vm0.must(['ip', '-j', 'link', 'show', 'vf0'])) as string

  const transfer = iperf(guests.vm0, guests.vm1, ip4('vm1'), { seconds: 6 })
  await daemon.until(
    'the transfer runs',
    () => daemon.port('vf0'),
    (port) => port.rxBytes > 50e6,
  )
  await daemon.verb('eswitch/fail', 'nic0', how)
  await daemon.until('a new worker', nic0, (e) => e.restarts > before.restarts && e.state === 'running', 10_000)
  await daemon.until('offered again', offloaded, (yes) => yes)
  const result = await transfer
  expect(result.bytes).toBeGreaterThan(100e6)
  // Tier 2 has polled the TAPs meanwhile.
  expect((await daemon.counters()).dpif.frames).toBeGreaterThan(before.frames)
  const ifindex = (text: string): number => (JSON.parse(text) as { ifindex: number }[])[0]!.ifindex
  const after = await guests.vm0.must(['ip', '-j', 'link', 'show', 'vf0'])
  expect(ifindex(after)).toBe(ifindex(carrier))
  expect(await ping(guests.vm0, ip4('vm1'), { count: 5 })).toMatchObject({ loss: 0 })
})
