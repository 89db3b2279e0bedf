import { describe, expect, test } from 'vitest'
import { type Address, parseCidr } from '../../../src/netlink/address.ts'
import { sourceIpv4, sourceIpv6 } from '../../../src/tunnel/fib-source.ts'

const UNIVERSE = 0
const LINK = 253
const HOST = 254
const SECONDARY = 0x01
const OPTIMISTIC = 0x04
const DEPRECATED = 0x20
const TENTATIVE = 0x40

const bytesOf = (text: string): Uint8Array =>
  Uint8Array.from(parseCidr(`${text}/${text.includes(':') ? 128 : 32}`).bytes)

const address = (ifindex: number, cidr: string, flags = 0, scope = UNIVERSE): Address => {
  const { version, bytes, prefixLength } = parseCidr(cidr)
  return { ifindex, version, bytes: Uint8Array.from(bytes), prefixLength, scope, flags }
}

const tableOf = (...addresses: Address[]): Map<number, Address[]> => {
  const table = new Map<number, Address[]>()
  for (const one of addresses) table.set(one.ifindex, [...(table.get(one.ifindex) ?? []), one])
  return table
}

describe('IPv4', () => {
  const pick = (addresses: readonly Address[], oif: number, gateway?: string, scope = UNIVERSE): string | undefined =>
    sourceIpv4(tableOf(...addresses), oif, gateway ? bytesOf(gateway) : undefined, scope)?.join('.')

  test('the first of the link, or the one of the gateway’s subnet', () => {
    const two = [address(2, '192.0.2.1/24'), address(2, '198.51.100.1/24')]
    expect(pick(two, 2)).toBe('192.0.2.1')
    expect(pick(two, 2, '198.51.100.9')).toBe('198.51.100.1')
    expect(pick(two, 2, '203.0.113.9')).toBe('192.0.2.1')
  })

  test('no secondary address, unless there is none but on other links', () => {
    const secondary = address(2, '192.0.2.7/24', SECONDARY)
    expect(pick([secondary, address(2, '198.51.100.1/24')], 2, '192.0.2.9')).toBe('198.51.100.1')
    expect(pick([secondary, address(3, '203.0.113.1/24')], 2)).toBe('203.0.113.1')
    expect(pick([secondary], 2)).toBeUndefined()
  })

  test('as wide as the route reaches', () => {
    const narrow = address(2, '169.254.0.1/16', 0, LINK)
    expect(pick([narrow], 2)).toBeUndefined()
    expect(pick([narrow], 2, undefined, LINK)).toBe('169.254.0.1')
    expect(pick([narrow, address(2, '192.0.2.1/24')], 2)).toBe('192.0.2.1')
    expect(pick([address(1, '127.0.0.1/8', 0, HOST), address(3, '203.0.113.1/24')], 2)).toBe('203.0.113.1')
  })

  test('of other links the lowest ifindex, and never one that is for its link only', () => {
    expect(pick([address(9, '203.0.113.9/24'), address(4, '203.0.113.4/24')], 2)).toBe('203.0.113.4')
    expect(pick([address(4, '169.254.0.4/16', 0, LINK)], 2, undefined, LINK)).toBeUndefined()
    expect(pick([address(2, '2001:db8::1/64')], 2)).toBeUndefined()
  })
})

/** RFC 6724, section 5; in each case the second one loses by the rule named. */
describe('IPv6', () => {
  const pick = (dst: string, oif: number, ...addresses: Address[]): string | undefined => {
    const source = sourceIpv6(tableOf(...addresses), oif, bytesOf(dst))
    return addresses.find(({ bytes }) => bytes === source)?.bytes.join()
  }
  const wins = (dst: string, oif: number, winner: Address, loser: Address): void => {
    const expected = winner.bytes.join()
    expect(pick(dst, oif, winner, loser)).toBe(expected)
    expect(pick(dst, oif, loser, winner)).toBe(expected)
  }

  test.each([
    ['1: the destination itself', '2001:db8::9', ['2001:db8::9/64', 3], ['2001:db8::8/64', 2]],
    ['2: a scope that suffices', '2001:db8::9', ['2001:db8:1::1/64', 3], ['fe80::1/64', 2]],
    ['2: the smaller one that does', 'fec0::9', ['fec0::1/64', 3], ['2001:db8::1/64', 2]],
    ['3: none that is deprecated', '2001:db8::9', ['2001:db8:1::1/64', 3], ['2001:db8::1/64', 2, DEPRECATED]],
    ['5: the outgoing link', '2001:db8::9', ['2001:db8:f::1/64', 2], ['2001:db8::1/64', 3]],
    ['6: the same label', '2001:db8::9', ['2001:db8:f::1/64', 2], ['fd00::1/64', 2]],
    ['6: though it have less in common', '2001:db8::9', ['2600::1/64', 2], ['2001::1/64', 2]],
    ['6: also for unique local ones', 'fd00:1::9', ['fd00:2::1/64', 2], ['2001:db8::1/64', 2]],
    ['7: no temporary one', '2001:db8::9', ['2001:db8:f::1/64', 2], ['2001:db8::1/64', 2, SECONDARY]],
    ['8: the longest common prefix', '2001:db8::9', ['2001:db8::1/64', 2], ['2001:db8:f::1/64', 2]],
  ] as const)('rule %s', (_, dst, [best, bestLink], [other, otherLink, flags = 0]) => {
    wins(dst, 2, address(bestLink, best), address(otherLink, other, flags))
  })

  test('not more common bits than the prefix has: then the first one stays', () => {
    const first = address(2, '2001:db8::f/32')
    const second = address(2, '2001:db8::8/32')
    expect(pick('2001:db8::9', 2, first, second)).toBe(first.bytes.join())
    expect(pick('2001:db8::9', 2, second, first)).toBe(second.bytes.join())
  })

  test('tentative ones only when optimistic', () => {
    expect(pick('2001:db8::9', 2, address(2, '2001:db8::1/64', TENTATIVE))).toBeUndefined()
    const optimistic = address(2, '2001:db8::1/64', TENTATIVE | OPTIMISTIC)
    expect(pick('2001:db8::9', 2, optimistic)).toBe(optimistic.bytes.join())
  })

  test('what stays on a link is sent from that link', () => {
    const own = address(2, 'fe80::2/64')
    expect(pick('fe80::9', 2, address(3, 'fe80::3/64'), own)).toBe(own.bytes.join())
    expect(pick('fe80::9', 4, own)).toBeUndefined()
    expect(pick('ff02::1', 2, address(3, '2001:db8::3/64'), own)).toBe(own.bytes.join())
  })
})
