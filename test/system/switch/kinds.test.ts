import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { callVerb } from '../../../src/control/client.ts'
import type { PortReply } from '../../../src/control/replies.ts'
import { Capture } from '../kit/capture.ts'
import { TAPSWITCH } from '../kit/daemon.ts'
import { COUNTED_SHORT, iperf } from '../kit/iperf.ts'
import { needKernel } from '../kit/kernel.ts'
import { ping } from '../kit/ping.ts'
import { must } from '../kit/process.ts'
import { makeFrames, sendFrames } from '../kit/scapy.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'

/**
 * One switch with every kind of port. It runs in the namespace `host`, which has its internal port br0 and one end of a veth, whose other end is in
 * `wire`. vf1 and vf2 are on a NIC, tap3 is none's; br1 hangs on br0 by a patch cable and has tap4.
 */

let bed: Testbed
let guests: Record<'host' | 'wire' | 'g1' | 'g2' | 'g3' | 'g4', Guest>
let control: string

/** Of a transfer of 8 MiB. */
const ALL_BUT_BUFFERS = 8 * 2 ** 20 - COUNTED_SHORT

const mac = (n: number): string => `02:00:00:00:0a:0${n}`
/** Selects the frames that a test makes; a kernel's own, of the same source, go to groups and to whom it knows. */
const made = (src: number, dst: number): string => `ether src ${mac(src)} and ether dst ${mac(dst)}`
const LINKS = { g1: 'vf1', g2: 'vf2', g3: 'tap3', g4: 'tap4' } as const

/** Settings by bridge and port. */
let ports: Record<'br0' | 'br1', Record<string, Record<string, unknown>>>
const write = (): void =>
  writeFileSync(
    bed.path('s.yaml'),
    JSON.stringify({
      control,
      eswitches: {
        nic0: {
          ports: {
            vf1: { role: 'vf', netns: guests.g1.netns, mac: mac(1) },
            vf2: { role: 'vf', netns: guests.g2.netns, mac: mac(2) },
          },
        },
      },
      bridges: {
        br0: { internal: { addresses: ['10.10.0.100/24', 'fd10::100/64'] }, ports: ports.br0 },
        br1: { ports: ports.br1 },
      },
    }),
  )

/** Writes the configuration; ports that are not named have their plain settings. */
const settings = (changes: Record<string, Record<string, unknown>>): void => {
  ports = {
    br0: {
      vf1: {},
      vf2: {},
      tap3: { type: 'tap', netns: guests.g3.netns, mac: mac(3) },
      veth0: { type: 'packet' },
      'patch-down': { type: 'patch', options: { peer: 'patch-up' } },
    },
    br1: {
      tap4: { type: 'tap', netns: guests.g4.netns, mac: mac(4) },
      'patch-up': { type: 'patch', options: { peer: 'patch-down' } },
    },
  }
  for (const [name, change] of Object.entries(changes)) Object.assign((ports.br0[name] ?? ports.br1[name])!, change)
  write()
}
/**
 * Gives ports other settings. Guests forget whom they still look for: what had to have no answer would else fail a ping that comes within the three
 * seconds of looking.
 */
const reload = async (changes: Record<string, Record<string, unknown>>): Promise<void> => {
  settings(changes)
  await callVerb(control, 'reload', [])
  await callVerb(control, 'fdb/flush', [])
  await callVerb(control, 'revalidator/wait', [])
  for (const { netns } of Object.values(guests))
    await must(['ip', '-netns', netns, 'neigh', 'flush', 'nud', 'incomplete'])
}

beforeAll(async () => {
  bed = new Testbed()
  guests = await bed.guests('host', 'wire', 'g1', 'g2', 'g3', 'g4')
  control = bed.path('s.ctl')
  for (const guest of Object.values(guests)) await guest.sysctl('net.ipv6.conf.default.accept_dad', 0)
  await guests.host.must([
    'ip',
    'link',
    'add',
    'veth0',
    'type',
    'veth',
    'peer',
    'name',
    'veth1',
    'netns',
    guests.wire.netns,
  ])
  await guests.host.must(['ip', 'link', 'set', 'veth0', 'up'])
  settings({})
  const daemon = guests.host.start([process.execPath, TAPSWITCH, 'run', '--config', bed.path('s.yaml')])
  await daemon.until(/^ready: /m)
  let n = 1
  for (const [name, link] of Object.entries(LINKS) as [keyof typeof LINKS, string][]) {
    await guests[name].address(link, `10.10.0.${n}/24`, `fd10::${n}/64`)
    n++
  }
  await guests.wire.address('veth1', '10.10.0.5/24', 'fd10::5/64')
})
afterAll(() => bed?.close())

describe('an internal port', () => {
  it('is the bridge’s LOCAL, up, with its addresses: host and VF reach each other', async () => {
    const [port] = (await callVerb(control, 'port/show', ['br0'], true)) as PortReply[]
    expect(port).toMatchObject({ kind: 'internal', link: 'up', bridge: 'br0', ofport: 65534 })
    for (const to of ['10.10.0.1', 'fd10::1']) expect(await ping(guests.host, to)).toMatchObject({ loss: 0 })
    expect(await ping(guests.g1, 'fd10::100')).toMatchObject({ loss: 0 })
    expect((await iperf(guests.g1, guests.host, '10.10.0.100', { bytes: '8M' })).bytes).toBeGreaterThan(ALL_BUT_BUFFERS)
    expect((await iperf(guests.host, guests.g3, '10.10.0.3', { bytes: '8M' })).bytes).toBeGreaterThan(ALL_BUT_BUFFERS)
  })
})

describe('a packet port', () => {
  it('joins a veth: ping, and TCP both ways with default offloads', async (context) => {
    await needKernel(context, 'veth')
    for (const to of ['10.10.0.1', 'fd10::3', '10.10.0.100'])
      expect(await ping(guests.wire, to)).toMatchObject({ loss: 0 })
    expect((await iperf(guests.g1, guests.wire, '10.10.0.5', { bytes: '8M' })).bytes).toBeGreaterThan(ALL_BUT_BUFFERS)
    expect((await iperf(guests.wire, guests.g1, '10.10.0.1', { bytes: '8M' })).bytes).toBeGreaterThan(ALL_BUT_BUFFERS)
  })

  it('keeps VLAN tags, in and out, also the priority and a second tag', async (context) => {
    await needKernel(context, 'veth')
    const frames = async (src: number, dst: number): Promise<Uint8Array[]> =>
      makeFrames(`
e = Ether(src="${mac(src)}", dst="${mac(dst)}")
frames = [e/Dot1Q(vlan=7, prio=5)/Raw(b"one".ljust(60)), e/Dot1AD(vlan=8)/Dot1Q(vlan=9)/Raw(b"two".ljust(60)), e/Dot1Q(vlan=0, prio=3)/Raw(b"zero".ljust(60))]
`)
    for (const [from, fromLink, to, toLink, src, dst] of [
      ['wire', 'veth1', 'g3', 'tap3', 9, 3],
      ['g3', 'tap3', 'wire', 'veth1', 3, 9],
    ] as const) {
      const sent = await frames(src, dst)
      const capture = await Capture.start(bed, guests[to], toLink, { direction: 'in', filter: made(src, dst) })
      await sendFrames(guests[from], fromLink, sent)
      await capture.until(sent.length)
      const got = (await capture.stop()).map((frame) => Buffer.from(frame.bytes).toString('hex'))
      expect(got).toEqual(sent.map((frame) => Buffer.from(frame).toString('hex')))
    }
  })

  it('follows the link of the other end', async (context) => {
    await needKernel(context, 'veth')
    const link = async (): Promise<string> =>
      ((await callVerb(control, 'port/show', ['veth0'], true)) as PortReply[])[0]!.link
    const until = async (state: string): Promise<void> => {
      const deadline = Date.now() + 5000
      while ((await link()) !== state) if (Date.now() > deadline) throw new Error(`veth0 is not ${state} within 5 s`)
    }
    await guests.wire.must(['ip', 'link', 'set', 'veth1', 'down'])
    await until('down')
    await guests.wire.must(['ip', 'link', 'set', 'veth1', 'up'])
    await until('up')
    expect(await ping(guests.g3, '10.10.0.5')).toMatchObject({ loss: 0 })
  })
})

it('a patch cable joins two bridges, and is counted at both ends', async () => {
  expect(await ping(guests.g4, '10.10.0.1')).toMatchObject({ loss: 0 })
  expect((await iperf(guests.g4, guests.g1, '10.10.0.1', { bytes: '8M' })).bytes).toBeGreaterThan(ALL_BUT_BUFFERS)
  const fdb = String(await callVerb(control, 'fdb/show', ['br1']))
  expect(fdb).toContain(mac(1))
  await callVerb(control, 'revalidator/wait', [])
  const deadline = Date.now() + 5000
  for (;;) {
    const ports = (await callVerb(control, 'port/show', [], true)) as PortReply[]
    const [down, up, tap] = ['patch-down', 'patch-up', 'tap4'].map((name) => ports.find((p) => p.name === name)!)
    expect(up).toMatchObject({ kind: 'patch', link: 'up', bridge: 'br1' })
    // Whatever tap4 sent went up, as the bridge has no other port.
    if (up!.txBytes > 1e6 && up!.txBytes === tap!.rxBytes && down!.rxBytes === up!.txBytes) break
    if (Date.now() > deadline) throw new Error(JSON.stringify({ down, up, tap }))
  }
})

describe('VLANs', () => {
  it('access ports of one VLAN reach each other and no others; a trunk carries tags', async () => {
    await reload({ vf1: { tag: 10 }, tap3: { tag: 10 }, veth0: { trunks: [10] } })
    expect(await ping(guests.g1, '10.10.0.3')).toMatchObject({ loss: 0 })
    expect((await ping(guests.g1, '10.10.0.2', { count: 1, wait: 0.3 })).received).toBe(0)
    expect((await ping(guests.wire, '10.10.0.1', { count: 1, wait: 0.3 })).received).toBe(0)
    const [frame] = await makeFrames(
      `frames = [Ether(src="${mac(1)}", dst="${mac(9)}", type=0x88b5)/Raw(b"x".ljust(60))]`,
    )
    const capture = await Capture.start(bed, guests.wire, 'veth1', { direction: 'in', filter: made(1, 9) })
    await sendFrames(guests.g1, 'vf1', [frame!])
    await capture.until(1)
    const hex = Buffer.from(frame!).toString('hex')
    const [got] = await capture.stop()
    expect(Buffer.from(got!.bytes).toString('hex')).toBe(`${hex.slice(0, 24)}8100000a${hex.slice(24)}`)
  })

  it('a patch cable that is a trunk joins VLANs of two bridges', async () => {
    await reload({ vf1: { tag: 10 }, vf2: { tag: 20 }, 'patch-down': { trunks: [10] }, tap4: { tag: 10 } })
    expect(await ping(guests.g4, '10.10.0.1')).toMatchObject({ loss: 0 })
    expect((await iperf(guests.g4, guests.g1, '10.10.0.1', { bytes: '8M' })).bytes).toBeGreaterThan(ALL_BUT_BUFFERS)
    await reload({ vf1: { tag: 10 }, vf2: { tag: 20 }, 'patch-down': { trunks: [10] }, tap4: { tag: 20 } })
    for (const to of ['10.10.0.1', '10.10.0.2'])
      expect((await ping(guests.g4, to, { count: 1, wait: 0.3 })).received).toBe(0)
  })

  it('a native-untagged port has its own VLAN without a tag', async () => {
    await reload({ vf1: { tag: 10 }, veth0: { vlan_mode: 'native-untagged', tag: 10 } })
    expect(await ping(guests.wire, '10.10.0.1')).toMatchObject({ loss: 0 })
    expect((await ping(guests.wire, '10.10.0.2', { count: 1, wait: 0.3 })).received).toBe(0)
  })
})

it('protected ports reach all others, but not each other', async () => {
  await reload({ vf1: { protected: true }, tap3: { protected: true } })
  expect((await ping(guests.g1, '10.10.0.3', { count: 1, wait: 0.3 })).received).toBe(0)
  for (const to of ['10.10.0.2', '10.10.0.100', '10.10.0.4'])
    expect(await ping(guests.g1, to)).toMatchObject({ loss: 0 })
  expect(await ping(guests.g3, '10.10.0.2')).toMatchObject({ loss: 0 })
  await reload({})
  expect(await ping(guests.g1, '10.10.0.3')).toMatchObject({ loss: 0 })
})
