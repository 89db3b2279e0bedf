/** Super-frames for the property tests: a description, its bytes, its virtio-net facts, and a generator of descriptions. */
import fc from 'fast-check'
import {
  GSO_TCPV4,
  GSO_TCPV6,
  GSO_UDP_L4,
  GSO_UDP_TUNNEL_IPV4,
  GSO_UDP_TUNNEL_IPV6,
  VNET_F_NEEDS_CSUM,
} from '../../../src/packet/slot.ts'
import { type Facts, sum, TUNNEL_CSUM } from './twin.ts'

export interface IpShape {
  version: 4 | 6
  /** Multiples of 8 bytes of IPv4 options or of one IPv6 destination-options header; 0 to 5. */
  extra: number
  id: number
}

export interface Shape {
  vlans: number
  tunnel: { ip: IpShape; csum: boolean } | null
  ip: IpShape
  tcp: boolean
  tcpOptions: number
  tcpFlags: number
  seq: number
  gsoSize: number
  payload: number[]
}

const be16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff]
const zeros = (count: number): number[] => new Array<number>(count).fill(0)

const ipHeader = (ip: IpShape, protocol: number, behind: number, net: number): number[] => {
  const extra = ip.extra * 8
  if (ip.version === 4) {
    const length = 20 + extra
    const fixed = [0x40 + length / 4, 0, ...be16(length + behind), ...be16(ip.id), 0x40, 0, 64, protocol, 0, 0]
    return [...fixed, 10, net, 0, 1, 10, net, 0, 2, ...new Array<number>(extra).fill(1)]
  }
  const address = (last: number): number[] => [0xfd, 0, 0, net, ...zeros(11), last]
  const fixed = [0x60, 0, 0, 0, ...be16(extra + behind), extra > 0 ? 60 : protocol, 64, ...address(1), ...address(2)]
  return extra === 0 ? fixed : [...fixed, protocol, extra / 8 - 1, 1, extra - 4, ...zeros(extra - 4)]
}

const ethernet = (vlans: number, version: 4 | 6): number[] => [
  ...[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2],
  ...(vlans === 2 ? [0x88, 0xa8, 0, 100] : []),
  ...(vlans >= 1 ? [0x81, 0, 0, 10] : []),
  ...(version === 4 ? [8, 0] : [0x86, 0xdd]),
]

/** The frame, with the pseudo-header's sum in the transport checksum's field as a guest leaves it, and its facts. */
export const build = (shape: Shape): { frame: number[]; facts: Facts; headers: number } => {
  const { ip, tunnel, tcp } = shape
  const transportLength = (tcp ? 20 + shape.tcpOptions * 4 : 8) + shape.payload.length
  const inner = ipHeader(ip, tcp ? 6 : 17, transportLength, 1)
  const front = ethernet(shape.vlans, (tunnel?.ip ?? ip).version)
  const outerNh = front.length
  if (tunnel) {
    const udp = 8 + 8 + 14 + inner.length + transportLength
    front.push(...ipHeader(tunnel.ip, 17, udp, 9), 195, 80, ...be16(4789), ...be16(udp), 0, 0)
    front.push(8, 0, 0, 0, 0, 0, 100, 0, ...ethernet(0, ip.version))
  }
  const nh = front.length
  const th = nh + inner.length
  const addresses = ip.version === 4 ? inner.slice(12, 20) : inner.slice(8, 40)
  const partial = sum(addresses, (tcp ? 6 : 17) + transportLength)
  const ports = [156, 64, 20, 81]
  const transport = tcp
    ? [
        ...ports,
        ...be16(Math.floor(shape.seq / 0x10000)),
        ...be16(shape.seq % 0x10000),
        ...[0, 0, 0, 1, (5 + shape.tcpOptions) * 16, shape.tcpFlags, 2, 0],
        ...be16(partial),
        ...[0, 0, ...new Array<number>(shape.tcpOptions * 4).fill(1)],
      ]
    : [...ports, ...be16(transportLength), ...be16(partial)]
  const facts: Facts = {
    flags: VNET_F_NEEDS_CSUM | (tunnel?.csum ? TUNNEL_CSUM : 0),
    gsoType:
      (tcp ? (ip.version === 4 ? GSO_TCPV4 : GSO_TCPV6) : GSO_UDP_L4) |
      (tunnel ? (tunnel.ip.version === 4 ? GSO_UDP_TUNNEL_IPV4 : GSO_UDP_TUNNEL_IPV6) : 0),
    gsoSize: shape.gsoSize,
    csumStart: th,
    csumOff: tcp ? 16 : 6,
    outerTh: tunnel ? outerNh + ipHeader(tunnel.ip, 17, 0, 9).length : 0,
    innerNh: tunnel ? nh : 0,
  }
  return { frame: [...front, ...inner, ...transport, ...shape.payload], facts, headers: th + transport.length }
}

const ipShape: fc.Arbitrary<IpShape> = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  extra: fc.nat(5),
  id: fc.nat(0xffff),
})

export const shapes: fc.Arbitrary<Shape> = fc.record({
  vlans: fc.nat(2),
  tunnel: fc.option(fc.record({ ip: ipShape, csum: fc.boolean() })),
  ip: ipShape,
  tcp: fc.boolean(),
  tcpOptions: fc.nat(10),
  tcpFlags: fc.nat(0xff),
  seq: fc.nat(0xffffffff),
  gsoSize: fc.integer({ min: 1, max: 1500 }),
  payload: fc.array(fc.nat(0xff), { maxLength: 600, size: 'max' }),
})
