/**
 * Every codec: what is emitted parses to the same, fields lie where a hand-written header has them, and short input
 * gives undefined.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { emitArp, parseArp } from '../../../src/packet/arp.ts'
import { checksum } from '../../../src/packet/checksum.ts'
import { emitEthernet, parseEthernet } from '../../../src/packet/ethernet.ts'
import { emitIcmp, parseIcmp } from '../../../src/packet/icmp.ts'
import { emitNeighbourMessage, parseNeighbourMessage } from '../../../src/packet/icmpv6.ts'
import { emitIgmp, parseIgmp } from '../../../src/packet/igmp.ts'
import { emitIpv4, parseIpv4 } from '../../../src/packet/ipv4.ts'
import { emitIpv6, parseIpv6 } from '../../../src/packet/ipv6.ts'
import { mplsWord, parseMpls } from '../../../src/packet/mpls.ts'
import { emitNsh, parseNsh } from '../../../src/packet/nsh.ts'
import { emitSctp, parseSctp, sctpChecksum } from '../../../src/packet/sctp.ts'
import { emitTcp, parseTcp } from '../../../src/packet/tcp.ts'
import { emitUdp, parseUdp } from '../../../src/packet/udp.ts'
import { parseVlan, vlanWord } from '../../../src/packet/vlan.ts'
import { emitVxlan, parseVxlan } from '../../../src/packet/vxlan.ts'

const u8 = fc.nat(0xff)
const u16 = fc.nat(0xffff)
const u32 = fc.nat(0xffffffff)
const mac = fc.maxSafeNat().map((n) => n % 2 ** 48)
const address = fc.uint8Array({ minLength: 16, maxLength: 16 })
const options = fc.nat(10).chain((n) => fc.uint8Array({ minLength: 4 * n, maxLength: 4 * n }))

/**
 * Emits into noise at an odd offset, so that a byte left unwritten shows, then parses; also checks that one byte less
 * is refused.
 */
const roundTrip = <T>(
  arbitrary: fc.Arbitrary<T>,
  emit: (b: Uint8Array, off: number, value: T) => number | undefined,
  parse: (b: Uint8Array, off: number) => T | undefined,
  length?: number,
): void => {
  fc.assert(
    fc.property(arbitrary, (value) => {
      const b = new Uint8Array(200).fill(0xa5)
      const n = emit(b, 3, value) ?? length!
      expect(parse(b.subarray(0, 3 + n), 3)).toEqual(value)
      expect(b.subarray(3 + n)).toEqual(new Uint8Array(197 - n).fill(0xa5))
      expect(parse(b.subarray(0, 3 + n - 1), 3)).toBeUndefined()
    }),
  )
}

const nothing =
  <T>(emit: (b: Uint8Array, off: number, value: T) => void) =>
  (b: Uint8Array, off: number, value: T): undefined =>
    emit(b, off, value) as undefined

describe('codecs round trip', () => {
  it('Ethernet', () =>
    roundTrip(fc.record({ dst: mac, src: mac, type: u16 }), nothing(emitEthernet), parseEthernet, 14))
  it('ARP', () => {
    roundTrip(fc.record({ op: u16, sha: mac, spa: u32, tha: mac, tpa: u32 }), nothing(emitArp), parseArp, 28)
  })
  it('UDP', () => {
    roundTrip(fc.record({ src: u16, dst: u16, length: u16, checksum: u16 }), nothing(emitUdp), parseUdp, 8)
  })
  it('SCTP', () => {
    roundTrip(fc.record({ src: u16, dst: u16, tag: u32, checksum: u32 }), nothing(emitSctp), parseSctp, 12)
  })
  it('ICMP', () => {
    roundTrip(fc.record({ type: u8, code: u8, checksum: u16, rest: u32 }), nothing(emitIcmp), parseIcmp, 8)
  })
  it('IGMP', () => {
    roundTrip(fc.record({ type: u8, maxResponse: u8, checksum: u16, group: u32 }), nothing(emitIgmp), parseIgmp, 8)
  })
  it('VXLAN', () => roundTrip(fc.record({ vni: fc.nat(0xffffff) }), nothing(emitVxlan), parseVxlan, 8))
  it('TCP with options', () => {
    const tcp = fc.record({
      src: u16,
      dst: u16,
      seq: u32,
      ack: u32,
      flags: fc.nat(0xfff),
      window: u16,
      checksum: u16,
      urgent: u16,
      options,
    })
    roundTrip(tcp, emitTcp, parseTcp)
  })
  it('NSH', () => {
    const nsh = fc.record({
      flags: fc.nat(3),
      ttl: fc.nat(63),
      mdType: fc.constant(1),
      next: u8,
      spi: fc.nat(0xffffff),
      si: u8,
      context: fc.array(u32, { minLength: 4, maxLength: 4 }),
    })
    roundTrip(nsh, emitNsh, parseNsh)
  })
  it('neighbour messages', () => {
    const message = fc.record(
      { type: fc.constantFrom(135, 136), flags: u32, target: address, sourceMac: mac, targetMac: mac },
      { requiredKeys: ['type', 'flags', 'target'] },
    )
    roundTrip(message, emitNeighbourMessage, parseNeighbourMessage)
  })
  it('IPv4 with options, its checksum right', () => {
    const ip = fc.record({
      tos: u8,
      id: u16,
      dontFragment: fc.boolean(),
      moreFragments: fc.boolean(),
      fragmentOffset: fc.nat(0x1fff).map((n) => n * 8),
      ttl: u8,
      proto: u8,
      src: u32,
      dst: u32,
      options,
    })
    const whole = ip.map((fields) => ({ ...fields, totalLength: 20 + fields.options.length }))
    roundTrip(
      whole,
      (b, off, value) => {
        const header = emitIpv4(b, off, value)
        expect(checksum(b, off, header)).toBe(0)
        return header
      },
      parseIpv4,
    )
  })
  it('IPv6', () => {
    const ip = fc.record({
      trafficClass: u8,
      flowLabel: fc.nat(0xfffff),
      payloadLength: fc.constant(0),
      next: u8,
      hopLimit: u8,
      src: address,
      dst: address,
    })
    roundTrip(ip, nothing(emitIpv6), parseIpv6, 40)
  })
  it('VLAN tags and MPLS entries as words', () => {
    fc.assert(
      fc.property(fc.nat(0xfff), fc.nat(7), fc.boolean(), fc.nat(0xfffff), u8, (vid, pcp, flag, label, ttl) => {
        const b = new Uint8Array(6)
        const view = new DataView(b.buffer)
        view.setInt32(0, vlanWord({ tpid: 0x88a8, vid, pcp, dei: flag }))
        expect(parseVlan(b, 0)).toEqual({ tpid: 0x88a8, vid, pcp, dei: flag })
        expect(parseVlan(b.subarray(0, 5), 0)).toBeUndefined()
        view.setInt32(0, mplsWord({ label, tc: pcp, bos: flag, ttl }))
        expect(parseMpls(b)).toEqual({ label, tc: pcp, bos: flag, ttl })
      }),
    )
  })
})

describe('codecs read headers written by others', () => {
  const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

  it('an IPv4 header of RFC form', () => {
    const ip = parseIpv4(bytes('4500 0014 1c46 4000 4006 0000 ac10 0a63 ac10 0a0c'))
    expect(ip).toMatchObject({ ttl: 64, proto: 6, src: 0xac100a63, dst: 0xac100a0c, dontFragment: true })
  })
  it('a SYN', () => {
    const tcp = parseTcp(bytes('d431 01bb 0000 0001 0000 0002 6002 faf0 1234 0000 0204 05b4'))
    expect(tcp).toMatchObject({ src: 54321, dst: 443, flags: 2, window: 64240, options: bytes('020405b4') })
  })
  it('an INIT whose CRC32c is known', () => {
    const packet = bytes('0001 0002 00000000 00000000')
    const crc = sctpChecksum(packet, 0, 12)
    new DataView(packet.buffer).setUint32(8, crc)
    expect(sctpChecksum(packet, 0, 12)).toBe(crc)
    // The oracle goes bit by bit.
    expect(crc).toBe(slowCrc32c(bytes('0001 0002 00000000 00000000')))
  })
  it('an advertisement with an option that has length 0: refused', () => {
    const b = new Uint8Array(32)
    b[0] = 136
    b[24] = 2
    expect(parseNeighbourMessage(b)).toBeUndefined()
  })
})

/** Bit by bit, stored least significant byte first, read big endian. */
const slowCrc32c = (b: Uint8Array): number => {
  let crc = 0xffffffff
  for (const byte of b) {
    crc ^= byte
    for (let i = 0; i < 8; i++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  const out = new DataView(new ArrayBuffer(4))
  out.setUint32(0, ~crc >>> 0, true)
  return out.getUint32(0)
}
