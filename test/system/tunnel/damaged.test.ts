import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { NeighbourReply } from '../../../src/control/replies.ts'
import { Daemon } from '../kit/daemon.ts'
import { makeFrames, sendFrames } from '../kit/scapy.ts'
import { type Guest, Testbed } from '../kit/testbed.ts'
import { ipBatch } from '../kit/underlay.ts'

/**
 * Outer headers that are wrong in one way at a time, swept over every length, flag and bit, over IPv4 and IPv6, with the NIC's rules in place and without. Each frame is accounted for:
 * it comes to the guest, to the host, or is one drop with a name.
 */

const HOST_MAC = '02:00:00:00:76:f1'
const PEER_MAC = '02:00:00:00:76:f2'
const OTHER_MAC = '02:00:00:00:76:f3'
const LOCAL = { 4: '192.168.0.1', 6: 'fd00:76::1' }
const PEER = { 4: '192.168.0.2', 6: 'fd00:76::2' }
/** Known to the host's kernel as long as nobody says otherwise. */
const THIRD = '192.168.0.3'
const VNI = { 4: 100, 6: 600 }
const A = { ip: '10.1.0.1', mac: '02:00:00:00:76:01' }
/** Behind the peer, by either version. */
const B = { 4: '02:00:00:00:76:04', 6: '02:00:00:00:76:06' }

/**
 * Python: `good` is a whole frame of the peer, whose parts are `outer(**udp)`, `vxlan` and `inner`; `ip` is where its IP header begins, `udp` where UDP does; `put` replaces 16 bits, and
 * makes IPv4's checksum right again unless told otherwise. UDP's length is 62.
 */
const parts = (version: 4 | 6): string => `
V = ${version}
def ip_header(**more):
    e = Ether(src="${PEER_MAC}", dst="${HOST_MAC}")
    if V == 4: return e/IP(**({"src": "${PEER[4]}", "dst": "${LOCAL[4]}", "flags": "DF", "id": 0} | more))
    return e/IPv6(src="${PEER[6]}", dst="${LOCAL[6]}", **more)
def outer(**udp): return ip_header()/UDP(sport=40000, dport=4789, **({"chksum": 0} | udp))
inner = Ether(src="${B[version]}", dst="${A.mac}")/IP(src="10.1.0.9", dst="${A.ip}", id=1)/UDP(sport=5, dport=6)/b"good"
vxlan = VXLAN(flags=8, vni=${VNI[version]})
ip, udp = 14, 34 if V == 4 else 54
good = bytes(outer()/vxlan/inner)
def put(frame, at, value, whole=True):
    b = bytearray(frame)
    b[at:at + 2] = value.to_bytes(2, "big")
    if V == 4 and whole:
        b[ip + 10:ip + 12] = bytes(2)
        b[ip + 10:ip + 12] = checksum(bytes(b[ip:ip + 20])).to_bytes(2, "big")
    return bytes(b)
def ip_length(frame, payload): return put(frame, ip + 2, payload + 20) if V == 4 else put(frame, ip + 4, payload)
def flips(frame, at): return [put(frame, at, int.from_bytes(frame[at:at + 2], "big") ^ 1 << n, False) for n in range(16)]
`

interface Count {
  /** What the guest and the host's stack receive. */
  readonly guest?: number
  readonly host?: number
  readonly drops?: Record<string, number>
}

interface Case {
  readonly title: string
  /** Python: leaves `frames`. */
  readonly script: string
  readonly expected: Count
}

/** By IP version. */
const CASES: (version: 4 | 6) => readonly Case[] = (version) => [
  {
    title: 'cut off at every length',
    script: 'frames = [good[:n] for n in range(14, len(good))]',
    expected: { host: version === 4 ? 82 : 102 },
  },
  {
    title: 'of every length, the headers saying so',
    script: 'frames = [put(ip_length(good, n), udp + 4, max(n, 8))[:udp + n] for n in range(62)]',
    // Without a whole UDP header it is for nobody's port. 30: UDP, VXLAN, Ethernet.
    expected: { host: 8, drops: { 'decap-malformed': 22 }, guest: 32 },
  },
  {
    title: 'with every UDP length',
    script: 'frames = [put(good, udp + 4, n) for n in range(70)]',
    expected: { drops: { 'decap-malformed': 30 + 7 }, guest: 33 },
  },
  {
    title: 'with every IP length',
    script: 'frames = [ip_length(good, n) for n in range(70)]',
    expected: { host: 8 + 7, drops: { 'decap-malformed': 54 }, guest: 1 },
  },
  {
    title: 'with all flags there could be, half of them without the one that there must be',
    script: 'frames = [good[:udp + 8] + bytes([n]) + good[udp + 9:] for n in range(256)]',
    expected: { drops: { 'decap-malformed': 128 }, guest: 128 },
  },
  {
    title: 'with each reserved bit, which nobody looks at',
    script:
      'frames = [f for at in (9, 10, 14) for f in flips(good, udp + at) if f[udp + 12:udp + 15] == good[udp + 12:udp + 15]]',
    expected: { guest: 40 },
  },
  {
    title: 'with a UDP checksum that is right, and wrong by each bit',
    script: 'whole = bytes(outer(chksum=None)/vxlan/inner)\nframes = [whole] + flips(whole, udp + 6)',
    expected: { guest: 1, drops: { 'decap-checksum': 16 } },
  },
  {
    title: 'of VNIs that no port has',
    script: 'frames = [bytes(outer()/VXLAN(flags=8, vni=n)/inner) for n in (0, 1, 99, 101, 599, 601, 0xffffff)]',
    expected: { drops: { 'unknown-vni': 7 } },
  },
  {
    title: 'of a peer that no port has',
    script: `frames = [ip_length(put(good, udp - ${version === 4 ? 6 : 18}, 0x1234), 62)]`,
    expected: { drops: { 'unknown-vni': 1 } },
  },
  {
    title: 'with congestion marked outside, where the inside speaks of it and where not',
    script: `
mark = {"tos" if V == 4 else "tc": 3}
def marked(tos):
    f = inner.copy()
    f[IP].tos = tos
    return ip_header(**mark)/UDP(sport=40000, dport=4789, chksum=0)/vxlan/f
frames = [marked(tos) for tos in (0, 1, 2, 3, 0xb8, 0xb9)]`,
    expected: { guest: 4, drops: { 'decap-ecn': 2 } },
  },
  {
    title: 'in fragments: the first, whose UDP header tells that it is for a tunnel, and the last',
    script: `
body = bytes(UDP(sport=40000, dport=4789, chksum=0)/vxlan/inner)
if V == 4: frames = [ip_header(flags="MF")/Raw(body[:32]), ip_header(flags=0, frag=4)/Raw(body[32:])]
else: frames = [ip_header()/IPv6ExtHdrFragment(nh=17, id=1, offset=o, m=m)/Raw(part) for o, m, part in ((0, 1, body[:32]), (4, 0, body[32:]))]
if V == 4:
    for f in frames: f[IP].proto = 17`,
    expected: { host: 1, drops: { 'outer-fragment': 1 } },
  },
  ...(version === 4
    ? [
        {
          title: 'with an IPv4 checksum that is wrong by each bit',
          script: 'frames = flips(good, ip + 10)',
          expected: { drops: { 'decap-checksum': 16 } },
        },
        {
          title: 'with IPv4 options, which are none of our business',
          script: 'frames = [ip_header(options=[IPOption_NOP()])/UDP(sport=40000, dport=4789, chksum=0)/vxlan/inner]',
          expected: { guest: 1 },
        },
      ]
    : [
        {
          title: 'with an IPv6 extension header',
          script:
            'frames = [ip_header()/IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])/UDP(sport=40000, dport=4789, chksum=0)/vxlan/inner]',
          expected: { drops: { 'decap-malformed': 1 } },
        },
      ]),
]

/** By IP version: a good frame, and those of each case. */
const made = new Map<4 | 6, { readonly good: Uint8Array; readonly cases: readonly (readonly Uint8Array[])[] }>()

beforeAll(async () => {
  for (const version of [4, 6] as const) {
    // No frame is as short as what stands between two cases.
    const scripts = CASES(version).map(
      ({ script }) => `${script}\neverything += [Raw(b"|")] + [Raw(bytes(f)) for f in frames]`,
    )
    const all = await makeFrames(
      `${parts(version)}\neverything = [Raw(good)]\n${scripts.join('\n')}\nframes = everything`,
    )
    const cases: Uint8Array[][] = []
    for (const frame of all.slice(1))
      if (frame.length === 1) cases.push([])
      else cases.at(-1)!.push(frame)
    made.set(version, { good: all[0]!, cases })
  }
}, 60_000)

describe.each([
  ['with the flow in the NIC', true],
  ['in software', false],
])('%s', (_, offload) => {
  let bed: Testbed
  let daemon: Daemon
  let guests: Record<'hv1' | 'a' | 'far', Guest>

  beforeAll(async () => {
    bed = new Testbed()
    guests = await bed.guests('hv1', 'a', 'far')
    for (const guest of [guests.a, guests.far]) await guest.sysctl('net.ipv6.conf.default.disable_ipv6', 1)
    await guests.hv1.sysctl('net.ipv6.conf.default.accept_dad', 0)
    await guests.hv1.sysctl('net.ipv6.conf.default.router_solicitations', 0)
    const tunnel = (version: 4 | 6): object => ({
      type: 'vxlan',
      protected: true,
      options: { local_ip: LOCAL[version], remote_ip: PEER[version], key: VNI[version] },
    })
    daemon = await Daemon.start(bed, {
      offload: { enabled: offload },
      eswitches: {
        nic0: {
          ports: {
            p0: { role: 'uplink', netns: guests.far.netns, mtu: 1600 },
            vf0: { role: 'vf', netns: guests.a.netns, mac: A.mac },
          },
        },
      },
      bridges: {
        'br-phy': {
          internal: {
            addresses: [`${LOCAL[4]}/24`, `${LOCAL[6]}/64`],
            mtu: 1600,
            mac: HOST_MAC,
            netns: guests.hv1.netns,
          },
          ports: { p0: {} },
        },
        'br-int': {
          ports: {
            vf0: {},
            vx4: tunnel(4),
            vx6: tunnel(6),
            vx3: { type: 'vxlan', protected: true, options: { remote_ip: THIRD, key: 300 } },
          },
        },
      },
    })
    await guests.far.must(['ip', 'link', 'set', 'p0', 'up'])
    await ipBatch(
      guests.hv1,
      [PEER[4], PEER[6], THIRD].map((peer) => `neigh replace ${peer} lladdr ${PEER_MAC} dev br-phy nud permanent`),
    )
    await guests.a.must(['ip', 'link', 'set', 'vf0', 'up'])
    // So that the bridge knows where the guest is.
    await sendFrames(
      guests.a,
      'vf0',
      await makeFrames(`frames = [Ether(src="${A.mac}", dst="01:80:c2:00:01:00", type=0x88b5)/Raw(bytes(46))]`),
    )
  }, 60_000)
  afterAll(() => bed?.close())

  /** Received by guest and host, and dropped, by reason; all since the start. */
  const count = async (): Promise<Required<Count>> => {
    const ports = (await daemon.counters()).ports
    const sent = (name: string): number => ports.find((port) => port.name === name)!.txPackets
    // What is dropped behind the outer header is none of a listed port's.
    const rows = (await daemon.verb('coverage/show')).matchAll(/^drop_(\w+)\s.*total: (\d+)$/gm)
    const drops = Object.fromEntries([...rows].map(([, reason, n]) => [reason!.replaceAll('_', '-'), Number(n)]))
    return { guest: sent('vf0'), host: sent('br-phy'), drops }
  }

  const since = async (before: Required<Count>): Promise<Required<Count>> => {
    const now = await count()
    const drops = Object.entries(now.drops).map(([reason, n]) => [reason, n - (before.drops[reason] ?? 0)] as const)
    return {
      guest: now.guest - before.guest,
      host: now.host - before.host,
      drops: Object.fromEntries(drops.filter(([, n]) => n > 0)),
    }
  }
  const total = ({ guest, host, drops }: Required<Count>): number =>
    guest + host + Object.values(drops).reduce((sum, n) => sum + n, 0)

  describe.each([4, 6] as const)('over IPv%i, a packet', (version) => {
    beforeAll(async () => {
      await sendFrames(guests.far, 'p0', [made.get(version)!.good])
      await daemon.until(
        'the flow is as it should be',
        async () => (await daemon.flows()).filter(({ match }) => match.includes(`src=${B[version]}`)),
        (flows) => flows.length > 0 && flows.every((flow) => flow.offloaded === offload),
      )
    })

    it.each(CASES(version).map((one, index) => ({ ...one, index })))('$title', async ({ index, expected }) => {
      const { guest = 0, host = 0, drops = {} } = expected
      const { good, cases } = made.get(version)!
      const frames = cases[index]!
      const [before, uplink] = [await count(), await daemon.port('p0')]
      // Good ones between them and at the end, which all come through.
      await sendFrames(guests.far, 'p0', [...frames.flatMap((frame) => [frame, good]), good])
      const goods = frames.length + 1
      const seen = await daemon.until(
        'each frame is accounted for',
        () => since(before),
        (now) => total(now) >= frames.length + goods,
      )
      expect(seen).toEqual({ guest: guest + goods, host, drops })
      // The host may say what it thinks of what it got.
      expect((await daemon.port('p0')).txPackets - uplink.txPackets).toBeLessThanOrEqual(host + 10)
    })

    it('that is good goes by the NIC, or not, as before', async () => {
      const COUNT = 64
      const before = await count()
      const { dpif } = await daemon.counters()
      await sendFrames(guests.far, 'p0', Array<Uint8Array>(COUNT).fill(made.get(version)!.good))
      await daemon.until(
        'all come',
        () => since(before),
        (now) => now.guest >= COUNT,
      )
      const inSoftware = (await daemon.counters()).dpif.frames - dpif.frames
      // The host may have something to say meanwhile.
      if (offload) expect(inSoftware).toBeLessThan(COUNT / 4)
      else expect(inSoftware).toBeGreaterThanOrEqual(COUNT)
    })
  })

  it('what a neighbour says unasked is believed as far as the kernel does, and no further', async () => {
    const say = async (...replies: readonly (readonly [string, string])[]): Promise<void> => {
      const frames = await makeFrames(`
def reply(ip, mac): return Ether(src=mac, dst="${HOST_MAC}")/ARP(op=2, hwsrc=mac, psrc=ip, hwdst="${HOST_MAC}", pdst="${LOCAL[4]}")
frames = [reply(*one) for one in ${JSON.stringify(replies)}]`)
      await sendFrames(guests.far, 'p0', frames)
    }
    const kernel = async (address: string): Promise<string | undefined> =>
      (await guests.hv1.must(['ip', 'neigh', 'show', address, 'dev', 'br-phy'])).match(/lladdr (\S+)/)?.[1]
    const ours = async (address: string): Promise<string | undefined> =>
      (await daemon.data<NeighbourReply[]>('tnl/neigh/show')).find((row) => row.address === address)?.mac
    const host = (await count()).host
    await ipBatch(guests.hv1, [`neigh replace ${THIRD} lladdr ${PEER_MAC} dev br-phy nud reachable`])
    await daemon.until(
      'the neighbour is known',
      () => ours(THIRD),
      (mac) => mac === PEER_MAC,
    )
    await say([THIRD, OTHER_MAC], [PEER[4], OTHER_MAC], ['192.168.0.77', OTHER_MAC])
    await daemon.until(
      'the host has all three',
      async () => (await count()).host - host,
      (n) => n >= 3,
    )
    // Whatever the kernel makes of it.
    await daemon.until(
      'both say the same',
      async () => [await ours(THIRD), await kernel(THIRD)],
      ([mine, its]) => mine === its,
    )
    expect(await kernel(PEER[4])).toBe(PEER_MAC)
    expect(await ours(PEER[4])).toBe(PEER_MAC)
    expect(await kernel('192.168.0.77')).toBeUndefined()
    expect(await ours('192.168.0.77')).toBeUndefined()
  })
})
