import { writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { TAPSWITCH, tapsIn } from '../kit/daemon.ts'
import { ping } from '../kit/ping.ts'
import { type RunResult, run } from '../kit/process.ts'
import { makeFrames, scapy, sendFrames } from '../kit/scapy.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { type Bed, ip4, LINK, mac, startBed } from './beds.ts'

describe('a configuration that cannot be', () => {
  let bed: Testbed
  let guest: Guest
  beforeEach(async () => {
    bed = new Testbed()
    guest = await bed.guest('g')
  })
  afterEach(() => bed.close())

  const start = (text: string): Promise<RunResult> => {
    writeFileSync(bed.path('switch.yaml'), `control: ${bed.path('s.ctl')}\n${text}`)
    return run([process.execPath, TAPSWITCH, 'run', '--config', bed.path('switch.yaml')], { timeout: 15_000 })
  }
  const nic = (more = ''): string =>
    `eswitches:\n  nic0:\n    ports:\n      vf0: { role: vf, netns: ${guest.netns}${more} }\n`

  it.each([
    ['an unknown key', () => nic(', colour: blue'), /5:\d+.*colour/s],
    [
      'a wrong prerequisite',
      () => `${nic()}bridges:\n  br0:\n    ports: { vf0: {} }\n    flows: ["tp_dst=80,actions=NORMAL"]\n`,
      /tp_dst/,
    ],
    [
      'an action that is none',
      () => `${nic()}bridges:\n  br0:\n    ports: { vf0: {} }\n    flows: ["actions=teleport"]\n`,
      /teleport/,
    ],
    [
      'a missing namespace',
      () => `eswitches:\n  nic0:\n    ports:\n      vf0: { role: vf, netns: no-such-ns }\n`,
      /no-such-ns/,
    ],
    [
      'a profile that is none',
      () => `eswitches:\n  nic0:\n    profile: no-such-profile\n    ports: {}\n`,
      /no-such-profile/,
    ],
    ['YAML that is none', () => `eswitches: [\n`, /:\d+:\d+/],
  ])('%s is refused by name, and nothing is left', async (_, text, words) => {
    const { code, stdout, stderr } = await start(text())
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(words) })
    expect(stdout).not.toContain('ready')
    expect(stderr).not.toMatch(/^\s+at /m)
    expect(await tapsIn(guest.netns)).toEqual([])
  })

  it('a port name that is taken is refused by name, and the other interface stays', async () => {
    await guest.must(['ip', 'link', 'add', 'vf0', 'type', 'veth', 'peer', 'name', 'peer0'])
    const { code, stderr } = await start(`${nic()}bridges: { br0: { ports: { vf0: {} } } }\n`)
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/vf0/) })
    await guest.must(['ip', 'link', 'show', 'vf0'])
  })
})

describe('traffic that cannot be', () => {
  let it_: Bed
  beforeAll(async () => {
    it_ = await startBed({ datapath: { 'flow-limit': 200 }, bridge: { 'mac-table-size': 50 } })
  })
  afterAll(() => it_?.bed.close())

  const stillWorks = async (): Promise<void> => {
    expect(await ping(it_.guests.vm0, ip4('vm1'))).toMatchObject({ loss: 0, duplicates: 0 })
    expect(await ping(it_.guests.vm2, ip4('c0'))).toMatchObject({ loss: 0, duplicates: 0 })
    expect(it_.daemon.process.running).toBe(true)
  }

  it('a 70 KB frame is cut by the guest or dropped by name', async () => {
    // A frame beyond every MTU leaves a packet socket only with virtio-net headers, as a super-frame.
    const before = await it_.daemon.port(LINK.vm0)
    await scapy(
      it_.guests.vm0,
      `
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.setsockopt(263, 15, 1)
s.bind(("${LINK.vm0}", 0))
head = bytes(Ether(src="${mac('vm0')}", dst="${mac('vm1')}")/IP(src="${ip4('vm0')}", dst="${ip4('vm1')}", len=1400)/TCP(dport=9))
s.send(struct.pack("<BBHHHH", 1, 1, len(head), 1400, 34, 16) + head + bytes(70000))
`,
    )
    await it_.daemon.until(
      'the frame',
      () => it_.daemon.port(LINK.vm0),
      (port) => port.rxPackets - before.rxPackets >= 50 || (port.drops['rx-oversize'] ?? 0) >= 1,
    )
    await stillWorks()
  })

  it('frames shorter than their headers say pass or are dropped by name', async () => {
    for (const from of ['vm0', 'c0'] as const) {
      const to = from === 'vm0' ? 'vm1' : 'vm2'
      const whole = await makeFrames(`
e = Ether(src="${mac(from)}", dst="${mac(to)}")
frames = [e/IP(src="${ip4(from)}", dst="${ip4(to)}")/TCP(dport=80), e/IPv6()/IPv6ExtHdrHopByHop()/UDP(), e/Dot1Q(vlan=1)/ARP(), e/IP()/UDP()/VXLAN()/e/IP()]`)
      for (const frame of whole) {
        const cuts = Array.from({ length: frame.length - 13 }, (_, n) => frame.subarray(0, 14 + n))
        await sendFrames(it_.guests[from], LINK[from], cuts)
      }
    }
    await stillWorks()
  })

  it('a burst of new flows beyond every limit costs others nothing', async () => {
    const { guests, daemon } = it_
    const flood = scapy(
      guests.vm0,
      `
import random, socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("${LINK.vm0}", 0))
r = random.Random(1)
for n in range(20000):
    src = bytes([2, 1]) + r.randbytes(4)
    dst = bytes([2, 1]) + r.randbytes(4)
    s.send(dst + src + bytes.fromhex("88b5") + bytes(46))
`,
    )
    const others = await ping(guests.vm2, ip4('c0'), { count: 40, interval: 0.05 })
    await flood
    expect(others).toMatchObject({ loss: 0, duplicates: 0 })
    // Of the flood some were lost, and all that lost them say the same.
    const counter = async (name: string): Promise<number> => Number(await daemon.verb('coverage/read-counter', name))
    const lost = (await counter('drop_upcall_limit')) + (await counter('drop_upcall_park_full'))
    expect(lost).toBeGreaterThan(0)
    expect(await daemon.verb('dpctl/show')).toMatch(new RegExp(` lost:${lost}\n`))
    const { dpif } = await daemon.counters()
    expect(dpif.flows).toBeLessThanOrEqual(200)
    const fdb = (await daemon.verb('fdb/show', 'br0')).trim().split('\n')
    expect(fdb.length - 1).toBeLessThanOrEqual(50)
    await stillWorks()
  })
})
