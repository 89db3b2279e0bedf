import { expect, test } from 'vitest'
import { type Address, parseCidr } from '../../../src/netlink/address.ts'
import { AddressList } from '../../../src/tunnel/address-list.ts'

const SECONDARY = 1

const address = (cidr: string, scope = 0, flags = 0): Address => {
  const { version, bytes, prefixLength } = parseCidr(cidr)
  return { ifindex: 2, version, bytes: Uint8Array.from(bytes), prefixLength, scope, flags }
}
const order = (list: AddressList): string[] =>
  (list.byLink.get(2) ?? []).map(({ bytes }) => (bytes.length === 4 ? bytes.join('.') : `6:${bytes[0]}:${bytes[15]}`))

test('news: IPv6 by scope, the newest of a scope first; IPv4 primary ones by scope, then secondary ones, the oldest first', () => {
  const list = new AddressList()
  for (const [cidr, scope, flags] of [
    ['fe80::1/64', 253, 0],
    ['2001:db8::1/64', 0, 0],
    ['2001:db8::2/64', 0, 0],
    ['fe80::2/64', 253, 0],
    ['10.0.0.1/24', 0, 0],
    ['10.0.0.7/24', 0, SECONDARY],
    ['10.0.1.1/24', 0, 0],
    ['169.254.0.1/16', 253, 0],
  ] as const)
    expect(list.added(address(cidr, scope, flags))).toBe(true)
  expect(order(list).filter((text) => text.startsWith('6'))).toEqual(['6:32:2', '6:32:1', '6:254:2', '6:254:1'])
  expect(order(list).filter((text) => !text.startsWith('6'))).toEqual([
    '169.254.0.1',
    '10.0.0.1',
    '10.0.1.1',
    '10.0.0.7',
  ])
  expect(list.added(address('10.0.0.1/24'))).toBe(false)
  expect(list.added(address('10.0.0.1/24', 0, 0x20))).toBe(true)
})

test('a dump decides on the order, whatever news come meanwhile, and on what is gone', () => {
  const list = new AddressList()
  for (const cidr of ['10.0.0.1/24', '10.0.1.1/24', '10.0.2.1/24']) list.added(address(cidr))
  list.epoch++
  list.added(address('10.0.3.1/24'))
  for (const cidr of ['10.0.2.1/24', '10.0.0.1/24']) list.listed(address(cidr))
  expect(list.listed(address('10.0.3.1/24'))).toBe(true)
  expect(list.sweep().map(({ bytes }) => bytes[2])).toEqual([1])
  expect(order(list)).toEqual(['10.0.2.1', '10.0.0.1', '10.0.3.1'])
  list.epoch++
  for (const cidr of ['10.0.2.1/24', '10.0.0.1/24', '10.0.3.1/24']) expect(list.listed(address(cidr))).toBe(false)
  expect(list.sweep()).toEqual([])
})

test('whether an address, or any of IPv4, is there', () => {
  const list = new AddressList()
  const six = address('2001:db8::1/64')
  list.added(six)
  expect(list.hasIpv4(2)).toBe(false)
  list.added(address('10.0.0.1/24'))
  expect(list.hasIpv4(2)).toBe(true)
  expect(list.has(Uint8Array.of(10, 0, 0, 1))).toBe(true)
  expect(list.deleted(six)).toBe(true)
  expect(list.deleted(six)).toBe(false)
  expect(list.has(six.bytes)).toBe(false)
})
