import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Capture } from '../kit/capture.ts'
import { makeFrames, sendFrames } from '../kit/scapy.ts'
import { ipBatch } from '../kit/underlay.ts'
import { A, B, HOST_MAC, hellos, LOCAL, PEER, PEER_MAC, type Raw, startRaw, TUNNELLED, VNI } from './raw.ts'

let raw: Raw
beforeAll(async () => {
  raw = await startRaw()
  const { peer, a } = await hellos()
  await sendFrames(raw.far, 'wire1', peer)
  await sendFrames(raw.guests.a, 'vf0', a)
})
afterAll(() => raw?.bed.close())

/** All drops by reason, of all ports. */
const drops = async (): Promise<Record<string, number>> => {
  const text = await raw.daemon.appctl('coverage/show')
  const rows = [...text.matchAll(/^drop_(\w+)\s.*total: (\d+)$/gm)]
  return Object.fromEntries(rows.map(([, reason, total]) => [reason!.replaceAll('_', '-'), Number(total)]))
}

/** Python: a good packet to the guest, and its outer part. */
const GOOD = `${TUNNELLED}
inner = Ether(src="${B.mac}", dst="${A.mac}")/IP(src="${B.ip}", dst="${A.ip}")/UDP(sport=5, dport=6)/b"good"
good = tunnelled(inner)
raw = bytes(good)
`

/** Sends what the script leaves in `frames`, and a good packet after it, which alone may come to the guest. What was dropped meanwhile, by reason. */
const outcome = async (script: string): Promise<{ dropped: Record<string, number>; received: number }> => {
  const frames = await makeFrames(`${GOOD}${script}\nframes = [Raw(bytes(f)) for f in frames] + [good]`)
  const before = await drops()
  const capture = await Capture.start(raw.bed, raw.guests.a, 'vf0', { direction: 'in' })
  await sendFrames(raw.far, 'wire1', frames)
  await capture.until(1)
  const received = (await capture.stop()).length
  const after = await drops()
  const dropped: Record<string, number> = {}
  for (const [reason, n] of Object.entries(after))
    if (n !== (before[reason] ?? 0)) dropped[reason] = n - (before[reason] ?? 0)
  return { dropped, received }
}

describe('of what comes for a tunnel, dropped with a named reason is', () => {
  it.each([
    [
      'a UDP payload too short for VXLAN, or with no whole Ethernet inside',
      'frames = [outer()/Raw(bytes(n)) for n in (0, 1, 7, 8)] + [outer()/VXLAN(flags=8, vni=100)/Raw(bytes(13))]',
      { 'decap-malformed': 5 },
    ],
    [
      'a VXLAN header without the flag that its VNI is valid',
      'frames = [outer()/VXLAN(flags=f, vni=100)/inner for f in (0, 0x80, 0xf7)]',
      { 'decap-malformed': 3 },
    ],
    [
      'lengths that contradict each other: UDP longer than IP, shorter than its header; IP longer than the frame',
      `
def patched(at, value):
    b = bytearray(raw)
    b[at:at + 2] = value.to_bytes(2, "big")
    ip = IP(bytes(b[14:34])); del ip.chksum
    b[14:34] = bytes(ip)[:20]
    return bytes(b)
frames = [patched(38, 2000), patched(38, 7), patched(38, 8 + 7)]`,
      { 'decap-malformed': 3 },
    ],
    [
      'a wrong checksum of the outer IPv4 header or UDP',
      'frames = [outer(chksum=0x1234)/VXLAN(flags=8, vni=100)/inner, raw[:24] + b"\\x12\\x34" + raw[26:]]',
      { 'decap-checksum': 2 },
    ],
    [
      'a VNI that no port has',
      'frames = [outer()/VXLAN(flags=8, vni=v)/inner for v in (0, 99, 0xffffff)]',
      { 'unknown-vni': 3 },
    ],
    [
      'a peer that no port has',
      'frames = [Ether(src="02:00:00:00:74:f3", dst="' +
        HOST_MAC +
        `")/IP(src="192.168.0.3", dst="${LOCAL}")/UDP(sport=1, dport=4789, chksum=0)/VXLAN(flags=8, vni=100)/inner]`,
      { 'unknown-vni': 1 },
    ],
    [
      'congestion marked outside of a packet that does not speak of it',
      `frames = [Ether(src="${PEER_MAC}", dst="${HOST_MAC}")/IP(src="${PEER}", dst="${LOCAL}", tos=3)/UDP(sport=1, dport=4789, chksum=0)/VXLAN(flags=8, vni=${VNI})/inner]`,
      { 'decap-ecn': 1 },
    ],
    [
      'a fragment of an outer packet',
      `frames = fragment(Ether(src="${PEER_MAC}", dst="${HOST_MAC}")/IP(src="${PEER}", dst="${LOCAL}", id=7)/UDP(sport=40000, dport=4789, chksum=0)/VXLAN(flags=8, vni=${VNI})/inner/Raw(bytes(400)), fragsize=256)`,
      { 'outer-fragment': 1 },
    ],
  ])('%s', async (_, script, expected) => {
    const { dropped, received } = await outcome(script)
    expect(dropped).toMatchObject(expected)
    expect(received).toBe(1)
  })
})

it('reserved bits are not looked at, as RFC 7348 says', async () => {
  const { dropped, received } = await outcome(
    'frames = [outer()/Raw(bytes([0xff, 0x12, 0x34, 0x56, 0, 0, 100, 0x78]))/inner]',
  )
  expect({ dropped, received }).toEqual({ dropped: {}, received: 2 })
})

it('random damage neither stops the switch nor comes through as something else', async () => {
  const { received } = await outcome(`
import random
r = random.Random(7)
frames = []
for n in range(600):
    b = bytearray(raw)
    for _ in range(r.randint(1, 4)): b[r.randrange(14, 50)] = r.randrange(256)
    frames.append(bytes(b[:r.choice((len(b), r.randrange(14, len(b))))]))`)
  // What was changed without consequence (identification, TTL, source port, reserved bits, ...) is received; most is not.
  expect(received).toBeLessThan(300)
  expect(await raw.daemon.appctl('version')).toMatch(/\d/)
  expect((await outcome('frames = []')).received).toBe(1)
})

describe('a neighbour reply that nobody asked for', () => {
  it('makes no entry', async () => {
    // What it does to an entry that is there, the kernel decides (damaged.test.ts).
    const { daemon, far, guests } = raw
    const frames = await makeFrames(`
frames = [Ether(src="02:00:00:00:74:77", dst="${HOST_MAC}")/ARP(op=2, hwsrc="02:00:00:00:74:77", psrc="192.168.0.77", hwdst="${HOST_MAC}", pdst="${LOCAL}")]`)
    await sendFrames(far, 'wire1', frames)
    expect((await outcome('frames = []')).received).toBe(1)
    const table = await daemon.appctl('tnl/neigh/show')
    expect(table).toContain(PEER_MAC)
    expect(table).not.toContain('74:77')
    expect(await guests.hv1.must(['ip', 'neigh', 'show', 'dev', 'br-phy'])).not.toContain('74:77')
  })
})

describe('a route to the peer that leads through the tunnel itself', () => {
  it('drops what the guest sends as a tunnel loop, counted, without a storm, until it is mended', async () => {
    const { daemon, guests, far, bed } = raw
    // The way to the peer is by the guests' bridge, and the next hop there is behind the tunnel.
    const before = (await drops())['tunnel-loop'] ?? 0
    await ipBatch(guests.hv1, [
      'link set br-int up',
      `neigh replace ${PEER} lladdr ${B.mac} dev br-int nud permanent`,
      `route add ${PEER}/32 dev br-int`,
    ])
    const [frame] = await makeFrames(
      `frames = [Ether(src="${A.mac}", dst="${B.mac}")/IP(src="${A.ip}", dst="${B.ip}")/UDP(sport=5, dport=6)/b"x"]`,
    )
    const capture = await Capture.start(bed, far, 'wire1', { direction: 'in', filter: 'udp port 4789' })
    await sendFrames(guests.a, 'vf0', Array<Uint8Array>(10).fill(frame!))
    await daemon.until('ten are dropped', drops, (now) => (now['tunnel-loop'] ?? 0) - before >= 10)
    expect((await daemon.flows()).filter((flow) => flow.reason === 'tunnel-loop').length).toBeGreaterThan(0)
    await ipBatch(guests.hv1, [`route del ${PEER}/32 dev br-int`])
    await sendFrames(guests.a, 'vf0', [frame!])
    await capture.until(1)
    expect((await capture.stop()).length).toBeLessThanOrEqual(2)
    expect((await drops())['tunnel-loop']! - before).toBeLessThanOrEqual(12)
  })
})
