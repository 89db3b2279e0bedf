/** UDP over IPv4, without a UDP checksum. */
import { put16 } from '../../../src/packet/bytes.ts'
import { checksum } from '../../../src/packet/checksum.ts'

export interface UdpFrameSpec {
  readonly src: number
  readonly dst: number
  /** Addresses are 10.0.0.N, or 192.`net`.0.N. */
  readonly net?: number
  readonly srcIp?: number
  readonly dstIp?: number
  readonly sport?: number
  readonly dport?: number
  readonly payload?: number
  readonly df?: boolean
}

const mac = (value: number): number[] => [40, 32, 24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) & 0xff)

export const udpFrame = (spec: UdpFrameSpec): Uint8Array => {
  const { src, dst, net, srcIp = 1, dstIp = 2, sport = 7, dport = 9, payload = 32, df = false } = spec
  const address = (last: number): number[] => (net === undefined ? [10, 0, 0, last] : [192, net, 0, last])
  const f = new Uint8Array(42 + payload)
  f.set([...mac(dst), ...mac(src), 8, 0, 0x45, 0])
  put16(f, 16, 28 + payload)
  f.set([df ? 0x40 : 0, 0, 64, 17], 20)
  f.set([...address(srcIp), ...address(dstIp)], 26)
  put16(f, 24, checksum(f, 14, 20))
  put16(f, 34, sport)
  put16(f, 36, dport)
  put16(f, 38, 8 + payload)
  for (let i = 42; i < f.length; i++) f[i] = i & 0xff
  return f
}
