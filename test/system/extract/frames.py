#!/usr/bin/python3
"""Writes the base frames of the parity test to a capture file: python3 frames.py OUT.pcap"""

import sys

from scapy.all import (
    ARP, BOOTP, DHCP, DNS, DNSQR, Dot1AD, Dot1Q, Dot3, Ether, GRE, ICMP, ICMPv6DestUnreach, ICMPv6EchoRequest,
    ICMPv6MLReport2, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6NDOptDstLLAddr, ICMPv6NDOptMTU,
    ICMPv6NDOptSrcLLAddr, IP, IPOption_RR, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting, LLC, PadN, Padding, RandString, Raw, RouterAlert, SCTP, SCTPChunkInit, SNAP, STP, TCP, UDP, conf, wrpcap,
)
from scapy.contrib.igmp import IGMP
from scapy.contrib.igmpv3 import IGMPv3, IGMPv3mr
from scapy.contrib.mpls import MPLS
from scapy.contrib.nsh import NSH
from scapy.layers.ipsec import AH
from scapy.layers.vxlan import VXLAN

conf.verb = 0

A, B = '02:00:00:00:01:01', '02:00:00:00:02:02'
eth = Ether(src=A, dst=B)
ip = IP(src='10.1.2.3', dst='192.168.77.200', id=7, tos=0xb9, ttl=63)
ip6 = IPv6(src='2001:db8::1', dst='fe80::ff:fe00:202', tc=0xb9, fl=0x9abcd, hlim=61)
tcp = TCP(sport=40001, dport=443, seq=1, flags='PA', options=[('MSS', 1460), ('Timestamp', (1, 2)), ('NOP', None), ('NOP', None)])
udp = UDP(sport=5353, dport=53)
ns = ICMPv6ND_NS(tgt='fe80::1234')
na = ICMPv6ND_NA(tgt='fe80::1234', R=1, S=1, O=1)
sll = ICMPv6NDOptSrcLLAddr(lladdr=A)
tll = ICMPv6NDOptDstLLAddr(lladdr=B)
zero = ICMPv6NDOptSrcLLAddr(lladdr='00:00:00:00:00:00')
body = Raw(b'0123456789abcdef')

frames = [
    eth / ip / tcp / body,
    eth / ip / TCP(flags=0) / body,
    eth / ip / TCP(flags=0x1ff, reserved=7),
    eth / ip / TCP(dataofs=4) / body,
    eth / ip / TCP(dataofs=15) / body,
    eth / ip / udp / DNS(qd=DNSQR(qname='example.org')),
    eth / ip / ICMP(type=8, code=0) / body,
    eth / ip / ICMP(type=3, code=4) / ip / udp,
    eth / ip / SCTP(sport=1, dport=2) / SCTPChunkInit(),
    eth / ip / IGMP(type=0x16, gaddr='224.1.2.3'),
    eth / ip / IGMPv3() / IGMPv3mr(),
    eth / ip / GRE() / ip,
    eth / IP(src='1.2.3.4', dst='5.6.7.8', options=[IPOption_RR(routers=['0.0.0.0'] * 3)]) / tcp / body,
    eth / IP(ihl=4) / udp / body,
    eth / IP(ihl=15) / udp / body,
    eth / IP(version=5) / udp / body,
    eth / IP(len=0) / udp / body,
    eth / IP(len=19) / udp / body,
    eth / IP(len=24) / udp / body,
    eth / IP(len=4000) / udp / body,
    eth / ip / udp / body / Padding(b'\xff' * 30),
    eth / IP(src='10.1.2.3', dst='10.0.0.1', flags='MF') / udp / body,
    eth / IP(src='10.1.2.3', dst='10.0.0.1', frag=185) / body,
    eth / IP(src='10.1.2.3', dst='10.0.0.1', flags='MF', frag=1, proto=6) / body,
    eth / IP(flags='DF') / tcp,
    eth / IP(flags=4) / tcp,
    eth / IP(proto=58) / ns / sll,
    eth / IP(proto=41) / ip6 / udp,
    eth / IP(dst='255.255.255.255') / UDP(sport=68, dport=67) / BOOTP() / DHCP(options=[('message-type', 'discover'), 'end']),
    eth / ip6 / tcp / body,
    eth / ip6 / udp / body,
    eth / ip6 / ICMPv6EchoRequest() / body,
    eth / ip6 / ICMPv6DestUnreach() / ip6 / udp,
    eth / ip6 / SCTP(sport=9, dport=10),
    eth / IPv6(nh=1) / ICMP() / body,
    eth / IPv6(nh=2) / IGMP(),
    eth / IPv6(nh=59) / body,
    eth / IPv6(nh=59),
    eth / IPv6(plen=0, nh=0) / IPv6ExtHdrHopByHop() / udp,
    eth / IPv6(plen=4) / udp / body,
    eth / IPv6(plen=400) / udp / body,
    eth / IPv6(version=4) / udp / body,
    eth / ip6 / udp / body / Padding(b'\xee' * 9),
    eth / ip6 / IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN(optdata=b'\0' * 2)]) / ICMPv6MLReport2(),
    eth / ip6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(addresses=['2001:db8::9']) / IPv6ExtHdrDestOpt() / tcp / body,
    eth / ip6 / IPv6ExtHdrDestOpt(len=200) / udp,
    eth / ip6 / AH(spi=1, seq=2, icv=b'\1' * 12, padding=b'') / udp / body,
    eth / IPv6(nh=51) / Raw(b'\x11\xff' + b'\0' * 30),
    eth / ip6 / IPv6ExtHdrFragment(m=1, offset=0, id=5) / udp / body,
    eth / ip6 / IPv6ExtHdrFragment(m=0, offset=0, id=5) / udp / body,
    eth / ip6 / IPv6ExtHdrFragment(m=1, offset=7, id=5, nh=17) / body,
    eth / ip6 / IPv6ExtHdrFragment(m=0, offset=7, id=5, nh=6) / body,
    eth / ip6 / IPv6ExtHdrFragment(res2=1, id=5) / udp / body,
    eth / ip6 / IPv6ExtHdrFragment(m=1) / IPv6ExtHdrFragment(m=0) / IPv6ExtHdrDestOpt() / tcp,
    eth / ip6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrFragment(m=1, offset=9) / IPv6ExtHdrDestOpt() / tcp,
    eth / ip6 / ns,
    eth / ip6 / ns / sll,
    eth / ip6 / na / tll,
    eth / ip6 / na / sll / tll,
    eth / ip6 / ns / ICMPv6NDOptMTU() / sll,
    eth / ip6 / ns / sll / sll,
    eth / ip6 / na / tll / tll,
    eth / ip6 / ns / zero / sll / tll,
    eth / ip6 / ns / zero / zero / sll,
    eth / ip6 / ns / sll / Raw(b'\x02\x00' + b'\0' * 6),
    eth / ip6 / ns / sll / Raw(b'\x02\x09' + b'\0' * 6),
    eth / ip6 / ns / Raw(b'\x01\x02' + b'\7' * 14) / sll,
    eth / ip6 / ns / sll / Raw(b'\x0e\x01'),
    eth / ip6 / ICMPv6ND_NS(code=1, tgt='::1') / sll,
    eth / ip6 / ICMPv6ND_RA() / sll,
    eth / ARP(op=1, hwsrc=A, psrc='10.0.0.1', pdst='10.0.0.2'),
    eth / ARP(op=2, hwsrc=A, hwdst=B, psrc='10.0.0.1', pdst='10.0.0.2') / Padding(b'\0' * 18),
    eth / ARP(op=0x1234, hwsrc=A, psrc='10.0.0.1', pdst='10.0.0.2'),
    eth / ARP(hwtype=6, hwsrc=A, psrc='10.0.0.1', pdst='10.0.0.2'),
    eth / ARP(ptype=0x86dd),
    eth / ARP(hwlen=8),
    eth / ARP(plen=16),
    Ether(src=A, dst=B, type=0x8035) / ARP(op=3, hwsrc=A, hwdst=B, psrc='0.0.0.0', pdst='0.0.0.0'),
    eth / Dot1Q(vlan=100, prio=5) / ip / tcp,
    eth / Dot1Q(vlan=0, prio=7) / ip6 / udp,
    eth / Dot1Q(vlan=4095, id=1) / ARP(),
    eth / Dot1AD(vlan=200, prio=1) / Dot1Q(vlan=300, prio=2) / ip / udp / body,
    eth / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / ip / udp,
    eth / Dot1Q(vlan=9, type=0x100) / LLC() / STP(),
    eth / Dot1Q(vlan=9, type=0x8100),
    Dot3(src=A, dst='01:80:c2:00:00:00') / LLC(dsap=0x42, ssap=0x42, ctrl=3) / STP(),
    Dot3(src=A, dst=B) / LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(OUI=0, code=0x800) / ip / tcp,
    Dot3(src=A, dst=B) / LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(OUI=0, code=0x86dd) / ip6 / udp,
    Dot3(src=A, dst=B) / LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(OUI=0, code=0x5ff) / body,
    Dot3(src=A, dst=B) / LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(OUI=0, code=0x600) / body,
    Dot3(src=A, dst=B) / LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(OUI=0x00000c, code=0x2000) / body,
    Dot3(src=A, dst=B) / LLC(dsap=0xaa, ssap=0xaa, ctrl=3) / SNAP(OUI=0, code=0x8100) / body,
    Ether(src=A, dst=B, type=0x5ff) / body,
    Ether(src=A, dst=B, type=0x600) / body,
    Ether(src=A, dst=B, type=0x88cc) / body,
    Ether(src=A, dst=B, type=0x8847) / MPLS(label=16, s=1, cos=3, ttl=9) / ip / udp,
    Ether(src=A, dst=B, type=0x8847) / MPLS(label=16, s=0) / MPLS(label=0xfffff, s=1, ttl=255) / ip / udp,
    Ether(src=A, dst=B, type=0x8848) / MPLS(label=1, s=0) / MPLS(label=2, s=0) / MPLS(label=3, s=1) / ip,
    Ether(src=A, dst=B, type=0x8847) / MPLS(label=1, s=0) / MPLS(label=2, s=0) / MPLS(label=3, s=0) / MPLS(label=4, s=1) / ip,
    Ether(src=A, dst=B, type=0x894f) / NSH(mdtype=1, nextproto=3, spi=0x123456, si=254, ttl=63) / eth / ip,
    Ether(src=A, dst=B, type=0x894f) / NSH(mdtype=1, length=5) / body,
    Ether(src=A, dst=B, type=0x894f) / NSH(mdtype=2, length=2, context_header=b'') / body,
    Ether(src=A, dst=B, type=0x894f) / Raw(b'\x30\x42\x02\x01\x00\x00\x05\xff') / body,
    Ether(src=A, dst=B, type=0x894f) / Raw(b'\x0f\xc0\x0f\x01\x00\x00\x05\xff') / body,
    Ether(src=A, dst=B, type=0x894f) / Raw(b'\x4f\xc2\x02\x01\x00\x00\x05\xff') / body,
    eth / ip / UDP(dport=4789) / VXLAN(vni=100) / eth / ip / udp,
    # As text: how the C library shortens addresses.
    *[eth / IPv6(src=a, dst=b) / udp for a, b in [
        ('::', '::1'), ('::2', '::1.2.3.4'), ('::ffff:1.2.3.4', '::fffe:1.2.3.4'), ('1::', '1:0:0:2::'), ('1:0:0:2:0:0:0:3', '0:0:1::'),
        ('1:2:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'), ('::5:6:7:8', 'ff02::1:ff00:1'), ('0:1::', '::1:0'), ('::ffff:0:0', '::1:2:3'),
    ]],
    # Jumbograms.
    eth / ip / udp / Raw(b'j' * 8958),
    eth / ip6 / tcp / Raw(b'j' * 60000),
    eth / ip / tcp / Raw(b'j' * 65400),
    eth / IP(len=100) / udp / Raw(b'p' * 65400),
]

wrpcap(sys.argv[1], frames)
