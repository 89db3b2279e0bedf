/** Frames of a neighbour, and a port without a host's stack with its ARP and neighbour discovery, on a clock that the test moves. */
import { ManualScheduler } from '../../../src/lib/scheduler.ts'
import { ARP_REPLY, ARP_REQUEST, emitArp } from '../../../src/packet/arp.ts'
import { be32, be48, put16 } from '../../../src/packet/bytes.ts'
import { checksumAdd, checksumFold, pseudoIpv6 } from '../../../src/packet/checksum.ts'
import { emitEthernet } from '../../../src/packet/ethernet.ts'
import { emitNeighbourMessage, ND_ADVERT, ND_SOLICIT } from '../../../src/packet/icmpv6.ts'
import { emitIpv6 } from '../../../src/packet/ipv6.ts'
import { OwnNeighbours } from '../../../src/tunnel/own-neighbours.ts'
import { type Heard, readNeighbourFrame } from '../../../src/tunnel/own-neighbours-frames.ts'
import type { OwnPort } from '../../../src/tunnel/own-port.ts'
import { OwnStack } from '../../../src/tunnel/own-stack.ts'
import { ip, mac } from './fakes.ts'

export const OURS = { mac: mac(1), 4: ip('192.168.0.1'), 6: ip('fd00::1') }
export const PEER = { 4: ip('192.168.0.2'), 6: ip('fd00::2') }
export const A = mac(0xa)
export const B = mac(0xb)
const BROADCAST = new Uint8Array(6).fill(0xff)
const ALL_NODES = { mac: Uint8Array.of(0x33, 0x33, 0, 0, 0, 1), ip: ip('ff02::1') }

export interface Ends {
  readonly src: Uint8Array
  readonly dst: Uint8Array
}

export const arp = (op: number, eth: Ends, sha: Uint8Array, spa: Uint8Array, tpa: Uint8Array): Uint8Array => {
  const frame = new Uint8Array(60)
  emitEthernet(frame, 0, { dst: be48(eth.dst, 0), src: be48(eth.src, 0), type: 0x0806 })
  const tha = op === ARP_REPLY ? be48(eth.dst, 0) : 0
  emitArp(frame, 14, { op, sha: be48(sha, 0), spa: be32(spa, 0) >>> 0, tha, tpa: be32(tpa, 0) >>> 0 })
  return frame
}

export interface NdParts {
  readonly eth: Ends
  readonly src: Uint8Array
  readonly dst: Uint8Array
  readonly target: Uint8Array
  readonly type: number
  readonly flags?: number
  readonly sourceMac?: Uint8Array
  readonly targetMac?: Uint8Array
  readonly hops?: number
}

export const nd = ({
  eth,
  src,
  dst,
  target,
  type,
  flags = 0,
  sourceMac,
  targetMac,
  hops = 255,
}: NdParts): Uint8Array => {
  const frame = new Uint8Array(14 + 40 + 24 + 16)
  emitEthernet(frame, 0, { dst: be48(eth.dst, 0), src: be48(eth.src, 0), type: 0x86dd })
  const length = emitNeighbourMessage(frame, 54, {
    type,
    flags,
    target,
    ...(sourceMac ? { sourceMac: be48(sourceMac, 0) } : {}),
    ...(targetMac ? { targetMac: be48(targetMac, 0) } : {}),
  })
  emitIpv6(frame, 14, { trafficClass: 0, flowLabel: 0, payloadLength: length, next: 58, hopLimit: hops, src, dst })
  const sum = checksumAdd(pseudoIpv6(frame, 14, 58, length), frame, 54, length)
  put16(frame, 56, ~checksumFold(sum) & 0xffff)
  return frame.slice(0, 54 + length)
}

const S = 0x40000000
const O = 0x20000000

/** What the peer says, at `from`, to a port with these addresses. `bare` and `weak` are of IPv6; in IPv4 they are undefined. */
export const spoken = (
  version: 4 | 6,
  kind: 'answer' | 'told' | 'asks',
  from: Uint8Array,
  how: 'plain' | 'weak' | 'bare' = 'plain',
  ends: { readonly ours: typeof OURS; readonly peer: typeof PEER } = { ours: OURS, peer: PEER },
): Uint8Array => {
  const peer = ends.peer[version]
  const ours = ends.ours[version]
  const toUs = { src: from, dst: ends.ours.mac }
  if (version === 4) {
    if (kind === 'answer') return arp(ARP_REPLY, toUs, from, peer, ours)
    if (kind === 'told') return arp(ARP_REQUEST, { src: from, dst: BROADCAST }, from, peer, peer)
    return arp(ARP_REQUEST, { src: from, dst: BROADCAST }, from, peer, ours)
  }
  if (kind === 'asks') return nd({ eth: toUs, src: peer, dst: ours, target: ours, type: ND_SOLICIT, sourceMac: from })
  const override = how === 'weak' ? 0 : O
  const address = how === 'bare' ? {} : { targetMac: from }
  return kind === 'answer'
    ? nd({ eth: toUs, src: peer, dst: ours, target: peer, type: ND_ADVERT, flags: (S | override) >>> 0, ...address })
    : nd({
        eth: { src: from, dst: ALL_NODES.mac },
        src: peer,
        dst: ALL_NODES.ip,
        target: peer,
        type: ND_ADVERT,
        flags: override,
        ...address,
      })
}

export const create = (options: { limit?: number } = {}) => {
  const scheduler = new ManualScheduler()
  const sent: Uint8Array[] = []
  const port: OwnPort = {
    name: 'br-phy',
    ifindex: -7,
    dpPort: 7,
    mac: OURS.mac,
    addresses: [
      { bytes: OURS[4], prefixLength: 24 },
      { bytes: OURS[6], prefixLength: 64 },
    ],
  }
  const send = (_: OwnPort, frame: Uint8Array): void => void sent.push(frame)
  const neighbours = new OwnNeighbours({
    port: (ifindex) => (ifindex === -7 ? port : undefined),
    send,
    scheduler,
    random: () => 0.5,
    ...options,
  })
  const stack = new OwnStack({ neighbours, send, scheduler })
  const told: string[] = []
  neighbours.onChange((ifindex, address) => told.push(neighbours.lookup(ifindex, address).type))
  return {
    scheduler,
    neighbours,
    stack,
    port,
    told,
    hear: (frame: Uint8Array) => stack.receive(port, frame, false),
    /** What was sent since the last call, read as a neighbour would. */
    sent: (): Heard[] => sent.splice(0).map((frame) => readNeighbourFrame(frame, false)!),
    frames: (): Uint8Array[] => sent.splice(0),
  }
}
