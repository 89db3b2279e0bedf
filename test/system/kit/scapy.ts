/** Scapy scripts on standard input: frames of any shape, made or sent by a codec that is not ours. */
import { must } from './process.ts'
import type { Guest } from './testbed.ts'

const PYTHON = '/usr/bin/python3'
const PRELUDE = `
import sys, logging
logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import *
conf.verb = 0
`

/** Runs a script after `from scapy.all import *` in the guest; returns what it prints. */
export const scapy = (guest: Guest, script: string, timeout = 60_000): Promise<string> =>
  guest.must([PYTHON, '-'], { input: PRELUDE + script, timeout })

/** Sends frames as they are by AF_PACKET, in order, in batches of `burst` with `gap` seconds between, so that no queue overflows. */
export const sendFrames = async (
  guest: Guest,
  link: string,
  frames: readonly Uint8Array[],
  { burst = 32, gap = 0.005 } = {},
): Promise<void> => {
  const script = `
import socket, sys, time
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((${JSON.stringify(link)}, 0))
for i, line in enumerate(sys.stdin.read().split()):
    s.send(bytes.fromhex(line))
    if i % ${burst} == ${burst - 1}: time.sleep(${gap})
`
  const hex = frames.map((frame) => Buffer.from(frame).toString('hex')).join(' ')
  await guest.must([PYTHON, '-c', script], { input: hex })
}

/**
 * Sends TCP frames as a guest's own stack hands them to its link: whole, with a partial checksum, to be cut into segments of `size` bytes of payload (a virtio-net header
 * before each, packet(7), PACKET_VNET_HDR). The frames have no VLAN tag and no IPv6 extension headers.
 */
export const sendSuperFrames = async (
  guest: Guest,
  link: string,
  frames: readonly Uint8Array[],
  size: number,
): Promise<void> => {
  const script = `
import socket, struct, sys
SOL_PACKET, PACKET_VNET_HDR = 263, 15
NEEDS_CSUM, GSO_TCPV4, GSO_TCPV6 = 1, 1, 4
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
s.bind((${JSON.stringify(link)}, 0))
for line in sys.stdin.read().split():
    f = bytearray.fromhex(line)
    v4 = f[12] == 8 and f[13] == 0
    l4 = 14 + ((f[14] & 15) * 4 if v4 else 40)
    sums = f[26:34] if v4 else f[22:54]
    total = sum(struct.unpack(f"!{len(sums) // 2}H", sums)) + 6 + len(f) - l4
    while total > 0xffff: total = (total & 0xffff) + (total >> 16)
    f[l4 + 16:l4 + 18] = struct.pack("!H", total)
    header = l4 + (f[l4 + 12] >> 4) * 4
    gso = (GSO_TCPV4 if v4 else GSO_TCPV6) if len(f) - header > ${size} else 0
    s.send(struct.pack("=BBHHHH", NEEDS_CSUM, gso, header, ${size} if gso else 0, l4, 16) + bytes(f))
`
  const hex = frames.map((frame) => Buffer.from(frame).toString('hex')).join(' ')
  await guest.must([PYTHON, '-c', script], { input: hex })
}

/** Makes frames by a script that leaves a list of packets in `frames`; nothing is sent. */
export const makeFrames = async (script: string): Promise<Uint8Array[]> => {
  const output = await must([PYTHON, '-'], {
    input: `${PRELUDE}${script}\nfor f in frames: print(bytes(f).hex())\n`,
    timeout: 60_000,
  })
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => new Uint8Array(Buffer.from(line, 'hex')))
}
