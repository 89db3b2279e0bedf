"""Pings with an 802.1Q tag of our own making, for kernels without VLAN devices: resolves by ARP, sends echo requests, counts the answers.

Usage: tagged-ping.py LINK VLAN SOURCE DESTINATION. Prints a summary like ping's; exit status 0 if all came back once, with the right tag.
The kernel moves a received tag out of the frame; AF_PACKET gives it back as auxiliary data (packet(7), PACKET_AUXDATA).
"""

import socket
import struct
import sys
import time

ETH_P_ALL, SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 3, 263, 8, 0x10
COUNT, WAIT = 3, 1.0

link, vlan, source, destination = sys.argv[1], int(sys.argv[2]), *map(socket.inet_aton, sys.argv[3:5])
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
packets.bind((link, 0))
packets.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
with open(f"/sys/class/net/{link}/address") as f:
    own = bytes.fromhex(f.read().strip().replace(":", ""))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def send(to, ether_type, payload):
    packets.send(to + own + struct.pack("!HHH", 0x8100, vlan, ether_type) + payload)


def received(deadline):
    """Frames of our VLAN until the deadline, as (source, type, payload)."""
    while (left := deadline - time.monotonic()) > 0:
        packets.settimeout(left)
        try:
            frame, auxiliary, _, address = packets.recvmsg(2048, 256)
        except TimeoutError:
            return
        if address[2] == socket.PACKET_OUTGOING:
            continue
        tag = None
        for level, kind, data in auxiliary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tci, _ = struct.unpack_from("=IIIHHHH", data)
                if status & TP_STATUS_VLAN_VALID:
                    tag = tci & 0xFFF
        ether_type, payload = struct.unpack_from("!H", frame, 12)[0], frame[14:]
        if ether_type == 0x8100:
            tag, ether_type = struct.unpack_from("!HH", frame, 14)
            tag, payload = tag & 0xFFF, frame[18:]
        if tag == vlan:
            yield frame[6:12], ether_type, payload


def arp(operation, target_mac, target):
    return struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + own + source + target_mac + target


def answer_arp(sender, ether_type, payload):
    if ether_type == 0x0806 and payload[6:8] == b"\0\1" and payload[24:28] == source:
        send(sender, 0x0806, arp(2, sender, payload[14:18]))


def resolve():
    for _ in range(2):
        send(b"\xff" * 6, 0x0806, arp(1, b"\0" * 6, destination))
        for sender, ether_type, payload in received(time.monotonic() + WAIT / 2):
            if ether_type == 0x0806 and payload[6:8] == b"\0\2" and payload[14:18] == destination:
                return sender
            answer_arp(sender, ether_type, payload)
    return None


def echo(number):
    icmp = struct.pack("!BBHHH", 8, 0, 0, 0x7A9, number) + b"tagged" * 8
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), number, 0, 64, 1, 0, source, destination)
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + icmp


def is_reply(payload, number):
    return payload[9:10] == b"\1" and payload[12:16] == destination and payload[20:21] == b"\0" and payload[24:28] == struct.pack("!HH", 0x7A9, number)


def main():
    mac = resolve()
    answers = 0
    for number in range(1, COUNT + 1 if mac else 1):
        send(mac, 0x0800, echo(number))
        for sender, ether_type, payload in received(time.monotonic() + WAIT):
            if ether_type == 0x0800 and is_reply(payload, number):
                answers += 1
                break
            answer_arp(sender, ether_type, payload)
    sent = COUNT if mac else 0
    print(f"{sent} sent, {answers} received" if mac else "no ARP reply")
    return 0 if mac and answers == COUNT else 1


sys.exit(main())
