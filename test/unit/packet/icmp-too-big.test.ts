import { describe, expect, it } from 'vitest'
import { checksum } from '../../../src/packet/checksum.ts'
import { mayAnswerTooBig, mayFragment, tooBigAnswer } from '../../../src/packet/icmp-too-big.ts'
import { L_WORDS, parseOffsets } from '../../../src/packet/layout.ts'

const A = [2, 0, 0, 0, 0, 1]
const B = [2, 0, 0, 0, 0, 2]
const be16 = (value: number): number[] => [value >> 8, value & 0xff]

interface Ip4 {
  readonly flags?: number
  readonly proto?: number
  readonly src?: readonly number[]
  readonly dst?: readonly number[]
  readonly payload?: readonly number[]
  readonly size?: number
  readonly tags?: readonly number[]
  readonly dstMac?: readonly number[]
}

/** From 10.0.0.1 to 10.0.0.2 with DF, UDP, 1500 bytes of IP unless told otherwise. */
const ipv4 = (p: Ip4 = {}): Uint8Array => {
  const { flags = 0x4000, proto = 17, src = [10, 0, 0, 1], dst = [10, 0, 0, 2], payload = [], size = 1500 } = p
  const header = [0x45, 0, ...be16(size), 0x12, 0x34, ...be16(flags), 61, proto, 0, 0, ...src, ...dst]
  const sum = checksum(Uint8Array.from(header), 0, 20)
  header[10] = sum >> 8
  header[11] = sum & 0xff
  const tags = (p.tags ?? []).flatMap((tci) => [0x81, 0, ...be16(tci)])
  const front = [...(p.dstMac ?? B), ...A, ...tags, 8, 0, ...header, ...payload]
  const out = new Uint8Array(14 + tags.length + size)
  out.set(front)
  return out
}

const addr6 = (last: number, first = 0xfd): number[] => [first, ...Array<number>(14).fill(0), last]

const ipv6 = (next = 17, payload: readonly number[] = [], src = addr6(1), dst = addr6(2)): Uint8Array => {
  const out = new Uint8Array(14 + 1500)
  out.set([...B, ...A, 0x86, 0xdd, 0x60, 1, 2, 3, ...be16(1460), next, 61, ...src, ...dst, ...payload])
  return out
}

const layoutOf = (frame: Uint8Array): Int32Array => {
  const layout = new Int32Array(L_WORDS)
  parseOffsets(frame, 0, frame.length, layout)
  return layout
}

const may = (frame: Uint8Array, mtu = 1450): boolean => mayAnswerTooBig(frame, layoutOf(frame), mtu)
const answer = (frame: Uint8Array, mtu = 1450, ipLength = 1500): Uint8Array =>
  tooBigAnswer(frame, layoutOf(frame), mtu, ipLength)

describe('fragmentation needed', () => {
  it('comes from the receiver, to the sender, and quotes what fits in 576 bytes', () => {
    const frame = ipv4({ payload: [0, 1, 0, 2, 5, 0xc8, 0, 0, 9, 9] })
    const out = answer(frame)
    expect([...out.subarray(0, 14)]).toEqual([...A, ...B, 8, 0])
    expect(out.length).toBe(14 + 576)
    expect([...out.subarray(14, 24)]).toEqual([0x45, 0, 2, 64, 0, 0, 0x40, 0, 61, 1])
    expect([...out.subarray(26, 34)]).toEqual([10, 0, 0, 2, 10, 0, 0, 1])
    expect(checksum(out, 14, 20)).toBe(0)
    expect([...out.subarray(34, 36), ...out.subarray(38, 42)]).toEqual([3, 4, 0, 0, 5, 0xaa])
    expect(checksum(out, 34, 556)).toBe(0)
    expect([...out.subarray(42)]).toEqual([...frame.subarray(14, 14 + 548)])
  })

  it('keeps the tags', () => {
    const out = answer(ipv4({ tags: [0x600a, 20] }))
    expect([...out.subarray(0, 22)]).toEqual([...A, ...B, 0x81, 0, 0x60, 10, 0x81, 0, 0, 20, 8, 0])
    expect(checksum(out, 22, 20)).toBe(0)
  })

  it('quotes of a super-frame the first segment', () => {
    const out = answer(ipv4({ size: 9000 }), 1450, 1500)
    expect([...out.subarray(44, 46)]).toEqual(be16(1500))
    expect(checksum(out, 42, 20)).toBe(0)
    expect(checksum(out, 34, 556)).toBe(0)
  })

  it('quotes no padding', () => {
    const frame = new Uint8Array(400)
    frame.set(ipv4({ size: 300 }))
    expect(answer(frame, 200, 300).length).toBe(14 + 28 + 300)
  })

  it.each<[string, Ip4, boolean]>([
    ['a packet', {}, true],
    ['an echo request', { proto: 1, payload: [8, 0] }, true],
    ['an ICMP error', { proto: 1, payload: [3, 1] }, false],
    ['an ICMP type that nobody knows', { proto: 1, payload: [99, 1] }, false],
    ['a first fragment', { flags: 0x6000 }, true],
    ['a later fragment', { flags: 0x4001 }, false],
    ['a multicast', { dst: [224, 0, 0, 9] }, false],
    ['a broadcast', { dst: [255, 255, 255, 255] }, false],
    ["a frame to several hosts, with one's address", { dstMac: [1, 0, 0x5e, 0, 0, 9] }, false],
    ['nobody', { src: [0, 0, 0, 0] }, false],
    ['a loopback address', { src: [127, 0, 0, 1] }, false],
    ['a multicast source', { src: [224, 0, 0, 1] }, false],
  ])('is sent, or not, in answer to %s', (_, packet, expected) => {
    expect(may(ipv4(packet))).toBe(expected)
  })

  it('is not sent when no host could send less', () => {
    expect(may(ipv4(), 67)).toBe(false)
    expect(may(ipv4(), 68)).toBe(true)
  })
})

describe('packet too big', () => {
  it('comes from the receiver, to the sender, and quotes what fits in 1280 bytes', () => {
    const frame = ipv6(17, [0, 1, 0, 2, 5, 0xb4, 7, 7])
    const out = answer(frame, 1430)
    expect([...out.subarray(0, 14)]).toEqual([...A, ...B, 0x86, 0xdd])
    expect(out.length).toBe(14 + 1280)
    expect([...out.subarray(14, 22)]).toEqual([0x60, 0, 0, 0, ...be16(1240), 58, 61])
    expect([...out.subarray(22, 54)]).toEqual([...addr6(2), ...addr6(1)])
    expect([...out.subarray(54, 56), ...out.subarray(58, 62)]).toEqual([2, 0, 0, 0, ...be16(1430)])
    const pseudo = [...out.subarray(22, 54), 0, 0, ...be16(1240), 0, 0, 0, 58, ...out.subarray(54)]
    expect(checksum(Uint8Array.from(pseudo), 0, pseudo.length)).toBe(0)
    expect([...out.subarray(62)]).toEqual([...frame.subarray(14, 14 + 1232)])
  })

  it.each<[string, Uint8Array, boolean]>([
    ['a packet', ipv6(), true],
    ['an echo request', ipv6(58, [128, 0]), true],
    ['an ICMPv6 error', ipv6(58, [2, 0]), false],
    ['a redirect', ipv6(58, [137, 0]), false],
    ['an error behind an extension header', ipv6(60, [58, 0, 1, 4, 0, 0, 0, 0, 1, 0]), false],
    ['a later fragment', ipv6(44, [17, 0, 0x10, 0, 0, 0, 0, 1]), false],
    ['a multicast', ipv6(17, [], addr6(1), addr6(1, 0xff)), false],
    ['nobody', ipv6(17, [], addr6(0, 0)), false],
    ['a loopback address', ipv6(17, [], addr6(1, 0)), false],
  ])('is sent, or not, in answer to %s', (_, frame, expected) => {
    expect(may(frame)).toBe(expected)
  })

  it('is not sent below the least MTU of IPv6', () => {
    expect(may(ipv6(), 1279)).toBe(false)
    expect(may(ipv6(), 1280)).toBe(true)
  })
})

describe('mayFragment', () => {
  it.each<[string, Uint8Array, boolean]>([
    ['IPv4 with DF', ipv4(), false],
    ['IPv4 without', ipv4({ flags: 0 }), true],
    ['IPv6', ipv6(), false],
    ['what is no IP', Uint8Array.from([...B, ...A, 0x88, 0xb5, ...Array<number>(60).fill(0)]), true],
    ['IP that lies about its length', ipv4().subarray(0, 100), true],
  ])('%s', (_, frame, expected) => {
    expect(mayFragment(frame, layoutOf(frame))).toBe(expected)
  })
})
