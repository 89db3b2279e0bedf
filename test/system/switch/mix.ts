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

const unicast = (from: GuestName, to: GuestName): string => `
def pair(n):
    e = Ether(src="${mac(from)}", dst="${mac(to)}")
    ip = IP(src="${ip4(from)}", dst="${ip4(to)}", id=n)
    ip6 = IPv6(src="${ip6(from)}", dst="${ip6(to)}", fl=n)
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
    yield e/IP(src="${ip4(from)}", dst="${ip4(to)}", options=[IPOption_RR()])/UDP(sport=1010, dport=2000)/b"x"
    yield e/IP(src="${ip4(from)}", dst="${ip4(to)}", proto=132)/Raw(bytes(40))
    yield Ether(src="${mac(from)}", dst="${mac(to)}", type=0x8847)/Raw(bytes.fromhex("0001013f") + bytes(60))
    yield Dot3(src="${mac(from)}", dst="${mac(to)}")/LLC(dsap=0x42, ssap=0x42, ctrl=3)/Raw(bytes(40))
    # Malformed: wrong sums, lengths that lie, headers cut off.
    yield e/IP(src="${ip4(from)}", dst="${ip4(to)}", chksum=0x1234)/UDP(sport=1011, dport=2000)/b"bad"
    yield e/ip/UDP(sport=1012, dport=2000, chksum=0x1234)/b"bad"
    yield e/IP(src="${ip4(from)}", dst="${ip4(to)}", len=1400)/UDP(sport=1013, dport=2000)/b"short"
    yield e/IP(src="${ip4(from)}", dst="${ip4(to)}", ihl=15)/b"no room for options"
    yield e/IP(src="${ip4(from)}", dst="${ip4(to)}", version=7)/UDP()
    yield e/ip/TCP(sport=1014, dport=80, dataofs=15)/b"x"
    yield Raw(bytes(e/ip6/UDP()/b"cut off")[:40])
    yield Raw(bytes(e/Dot1Q(vlan=10))[:16])
    yield Raw(bytes(e/b"")[:14])
`

/** `rounds` times all kinds of unicast from one guest to another. */
const pairFrames = (from: GuestName, to: GuestName, rounds: number): Promise<Uint8Array[]> =>
  makeFrames(`${unicast(from, to)}\nframes = [f for n in range(1, ${rounds + 1}) for f in pair(n)]`)

/** Broadcast, multicast (routed and reserved), an address nobody has, and one's own. */
const others = (from: GuestName, rounds: number): Promise<Uint8Array[]> =>
  makeFrames(`
frames = []
for n in range(${rounds}):
    for dst in ("ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:05", "33:33:00:00:00:05", "01:80:c2:00:00:0e", "02:00:00:00:07:77", "${mac(from)}"):
        frames.append(Ether(src="${mac(from)}", dst=dst, type=0x88b6)/Raw((b"%06d" % n).ljust(46)))
    frames.append(Ether(src="${mac(from)}", dst="ff:ff:ff:ff:ff:ff")/ARP(pdst="10.7.0.%d" % n))
`)

/** All of it, guest by guest. */
export const makeMix = async (rounds: number): Promise<Mix[]> => {
  const pairs = [
    ['vm0', 'vm1', true],
    ['vm1', 'fabric', true],
    ['fabric', 'vm0', true],
    ['vm2', 'c0', false],
    ['c0', 'vm1', false],
  ] as const
  return Promise.all(
    pairs.map(async ([from, to, sameNic]) => {
      const [one, many] = await Promise.all([pairFrames(from, to, rounds), others(from, 4)])
      return { from, frames: [...many, ...one], eligible: sameNic ? one.length : 0 }
    }),
  )
}
