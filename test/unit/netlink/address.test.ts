import { expect, test } from 'vitest'
import { addAddress, parseAddress, parseCidr } from '../../../src/netlink/address.ts'
import { createSocket } from './fake-kernel.ts'

const hex = (text: string): string => parseCidr(text).bytes.toString('hex')

test('addresses as bytes', () => {
  expect(parseCidr('192.168.0.1/24')).toMatchObject({ version: 4, prefixLength: 24 })
  expect(hex('192.168.0.1/24')).toBe('c0a80001')
  expect(hex('::/0')).toBe('0'.repeat(32))
  expect(hex('::1/128')).toBe(`${'0'.repeat(31)}1`)
  expect(hex('2001:db8::/32')).toBe(`20010db8${'0'.repeat(24)}`)
  expect(hex('1:2:3:4:5:6:7:8/64')).toBe('00010002000300040005000600070008')
  expect(hex('::ffff:192.0.2.1/96')).toBe(`${'0'.repeat(20)}ffffc0000201`)
})

test.each([
  '',
  '1.2.3.4',
  '1.2.3.4/',
  '1.2.3.4/33',
  '1.2.3/8',
  '::1/129',
  '::1/-1',
  '1.2.3.4/8/8',
  'x/8',
  '1.2.3.4/ 8',
])('"%s" is no address with prefix length', (text) => {
  expect(() => parseCidr(text)).toThrow('an address with prefix length like 192.168.0.1/24 expected')
})

test('what is asked for reads back; no broadcast address for /31', () => {
  const { kernel, socket } = createSocket()
  addAddress(socket, 7, '192.0.2.1/24').catch(() => {})
  expect(kernel.last.data.toString('hex')).toContain('08000400c00002ff')
  expect(parseAddress(kernel.last)).toEqual({
    ifindex: 7,
    version: 4,
    bytes: Uint8Array.of(192, 0, 2, 1),
    prefixLength: 24,
    scope: 0,
    flags: 0,
  })
  socket.close()
  const other = createSocket()
  addAddress(other.socket, 7, '192.0.2.0/31').catch(() => {})
  expect(other.kernel.last.data.toString('hex')).not.toContain('08000400')
  other.socket.close()
})
