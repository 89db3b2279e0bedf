/** Frames for the tests of the kit: Ethernet, IPv4 or IPv6, TCP or UDP between two fixed ends. */
import { pseudoSum, sum16 } from '../../system/kit/checksum.ts'
import { put16, put32 } from '../../system/kit/frame.ts'

export interface Shape {
  version?: 4 | 6
  payload?: number
  seq?: number
  flags?: number
  /** Bytes of TCP options (no-operations). */
  options?: number
  checksum?: 'right' | 'partial'
  from?: 'a' | 'b'
}

const side = (version: 4 | 6, end: 'a' | 'b'): number[] =>
  version === 4 ? [10, 0, 0, end === 'a' ? 1 : 2] : [0xfd, ...Array<number>(14).fill(0), end === 'a' ? 1 : 2]

const packet = (shape: Shape, protocol: number, header: Uint8Array): Uint8Array => {
  const { version = 4, payload = 0, from = 'a', checksum = 'right' } = shape
  const ip = 14
  const l4 = ip + (version === 4 ? 20 : 40)
  const b = new Uint8Array(l4 + header.length + payload)
  b.set([2, 0, 0, 0, 0, from === 'a' ? 2 : 1, 2, 0, 0, 0, 0, from === 'a' ? 1 : 2])
  put16(b, 12, version === 4 ? 0x0800 : 0x86dd)
  const addresses = [...side(version, from), ...side(version, from === 'a' ? 'b' : 'a')]
  const length = header.length + payload
  if (version === 4) {
    b.set([0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, protocol, 0, 0, ...addresses], ip)
    put16(b, ip + 2, 20 + length)
    put16(b, ip + 10, ~sum16(b, ip, 20) & 0xffff)
  } else {
    b.set([0x60, 0, 0, 0, 0, 0, protocol, 64, ...addresses], ip)
    put16(b, ip + 4, length)
  }
  b.set(header, l4)
  for (let i = 0; i < payload; i++) b[l4 + header.length + i] = i
  const pseudo = pseudoSum(b, version === 4 ? ip + 12 : ip + 8, addresses.length / 2, protocol, length)
  const field = l4 + (protocol === 6 ? 16 : 6)
  put16(b, field, checksum === 'partial' ? pseudo : ~sum16(b, l4, length, pseudo) & 0xffff)
  return b
}

export const tcp = (shape: Shape): Uint8Array => {
  const options = shape.options ?? 0
  const header = new Uint8Array(20 + options).fill(1, 20)
  header.set(shape.from === 'b' ? [0, 80, 4, 0] : [4, 0, 0, 80])
  put32(header, 4, shape.seq ?? 1)
  header[12] = ((20 + options) / 4) << 4
  header[13] = shape.flags ?? 0x10
  return packet(shape, 6, header)
}

export const syn = (shape: { mss: number; from: 'a' | 'b' }): Uint8Array => {
  const header = new Uint8Array(24)
  header.set(shape.from === 'b' ? [0, 80, 4, 0] : [4, 0, 0, 80])
  header[12] = 6 << 4
  header[13] = 2
  header.set([2, 4, shape.mss >>> 8, shape.mss & 0xff], 20)
  return packet(shape, 6, header)
}

export const udp = (shape: Shape): Uint8Array => {
  const header = new Uint8Array(8)
  header.set([4, 0, 0, 80])
  put16(header, 4, 8 + (shape.payload ?? 0))
  return packet(shape, 17, header)
}
