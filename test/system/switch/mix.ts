/** One traffic mix, made by scapy: what guests of the bed in beds.ts send, per guest in order. */
import { makeFrames } from '../kit/scapy.ts'
import { type GuestName, ip4, ip6, mac } from './beds.ts'

export interface Mix {
  readonly from: GuestName
  readonly frames: readonly Uint8Array[]
  /** How many of them one NIC can forward alone: unicast between its ports. */
  readonly eligible: number
}

/** A broadcast of each guest, from which the bridge learns where it is. */
export const hello = (name: GuestName): Promise<Uint8Array[]> =>
  makeFrames(
    `frames = [Ether(src="${mac(name)}", dst="ff:ff:ff:ff:ff:ff", type=0x88b5)/Raw(b"hello ${name}".ljust(46))]`,
  )

/** Python: all kinds of frames from one guest to another, and those to nobody in particular. */
export const KINDS = `
def unicast(n, src_mac, dst_mac, src4, dst4, src6, dst6):
    e = Ether(src=src_mac, dst=dst_mac)
    ip = IP(src=src4, dst=dst4, id=n)
    ip6 = IPv6(src=src6, dst=dst6, fl=n)
    big = bytes(range(256)) * 5
    yield e/ip/UDP(sport=1000, dport=2000)/(b"%06d" % n)
    yield e/ip/UDP(sport=1001, dport=2000)/big
    yield e/ip/TCP(sport=1002, dport=80, seq=n, flags="PA")/big
    yield e/ip/ICMP(id=7, seq=n)/b"x"
    yield e/ip6/UDP(sport=1003, dport=2000)/(b"%06d" % n)
    yield e/ip6/TCP(sport=1004, dport=80, seq=n)/big
    yield e/ip6/IPv6ExtHdrHopByHop()/ICMPv6EchoRequest(seq=n)
    # Fragments, first and later, and one that overlaps.
    for f in fragment(ip/UDP(sport=1005, dport=2000)/(big * 2), fragsize=1000): yield e/f
    yield e/ip6/IPv6ExtHdrFragment(offset=0, m=1, id=n)/UDP(sport=1006, dport=2000, len=200)/(b"f" * 64)
    yield e/ip6/IPv6ExtHdrFragment(offset=9, m=0, id=n)/(b"g" * 64)
    # Tags: one, two, priority only.
    yield e/Dot1Q(vlan=10)/ip/UDP(sport=1007, dport=2000)/(b"%06d" % n)
    yield e/Dot1AD(vlan=20)/Dot1Q(vlan=30, prio=5)/ip/UDP(sport=1008, dport=2000)/(b"%06d" % n)
    yield e/Dot1Q(vlan=0, prio=3)/ip/UDP(sport=1009, dport=2000)/(b"%06d" % n)
    # Options, other protocols, other link layers.
    yield e/IP(src=src4, dst=dst4, options=[IPOption_RR()])/UDP(sport=1010, dport=2000)/b"x"
    yield e/IP(src=src4, dst=dst4, proto=132)/Raw(bytes(40))
    yield Ether(src=src_mac, dst=dst_mac, type=0x8847)/Raw(bytes.fromhex("0001013f") + bytes(60))
    yield Dot3(src=src_mac, dst=dst_mac)/LLC(dsap=0x42, ssap=0x42, ctrl=3)/Raw(bytes(40))
    # Malformed: wrong sums, lengths that lie, headers cut off.
    yield e/IP(src=src4, dst=dst4, chksum=0x1234)/UDP(sport=1011, dport=2000)/b"bad"
    yield e/ip/UDP(sport=1012, dport=2000, chksum=0x1234)/b"bad"
    yield e/IP(src=src4, dst=dst4, len=1400)/UDP(sport=1013, dport=2000)/b"short"
    yield e/IP(src=src4, dst=dst4, ihl=15)/b"no room for options"
    yield e/IP(src=src4, dst=dst4, version=7)/UDP()
    yield e/ip/TCP(sport=1014, dport=80, dataofs=15)/b"x"
    yield Raw(bytes(e/ip6/UDP()/b"cut off")[:40])
    yield Raw(bytes(e/Dot1Q(vlan=10))[:16])
    yield Raw(bytes(e/b"")[:14])

# Broadcast, multicast (routed and reserved), an address nobody has, and one's own.
def others(n, src_mac):
    for dst in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05", "33:33:00:00:00:05", "01:80:c2:00:00:0e", "02:00:00:00:07:77", src_mac):
        yield Ether(src=src_mac, dst=dst, type=0x88b6)/Raw((b"%06d" % n).ljust(46))
    yield Ether(src=src_mac, dst="ff:ff:ff:ff:ff:ff")/ARP(pdst="10.7.0.%d" % n)
`

/** Who sends to whom, and whether one NIC has both. */
const PAIRS = [
  ['vm0', 'vm1', true],
  ['vm1', 'fabric', true],
  ['fabric', 'vm0', true],
  ['vm2', 'c0', false],
  ['c0', 'vm1', false],
] as const

/** Rounds that scapy makes, each frame different from the others; the mix repeats them. */
const DISTINCT = 4

/** All of it: each guest's frames in the order to send, `repeats` times DISTINCT rounds of every kind. */
export const makeMix = async (repeats: number): Promise<Mix[]> => {
  const ends = PAIRS.map(([a, b]) => [mac(a), mac(b), ip4(a), ip4(b), ip6(a), ip6(b)])
  const frames = await makeFrames(`${KINDS}
frames = []
for pair in ${JSON.stringify(ends)}:
    frames += [Raw(bytes(f)) for n in range(${DISTINCT}) for f in others(n, pair[0])]
    frames += [Raw(bytes(f)) for n in range(${DISTINCT}) for f in unicast(n + 1, *pair)]
`)
  const size = frames.length / PAIRS.length
  const general = DISTINCT * 7
  return PAIRS.map(([from, , sameNic], i) => {
    const own = frames.slice(i * size, (i + 1) * size)
    const rounds = Array.from({ length: repeats }, () => own.slice(general)).flat()
    return { from, frames: [...own.slice(0, general), ...rounds], eligible: sameNic ? rounds.length : 0 }
  })
}
