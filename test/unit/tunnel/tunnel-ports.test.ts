import { describe, expect, test } from 'vitest'
import { addressToWords } from '../../../src/flow/address.ts'
import { createKey, K_IN_PORT, K_TUN_DST, K_TUN_ID, K_TUN_SRC } from '../../../src/flow/key.ts'
import type { TunnelConfig } from '../../../src/tunnel/contract.ts'
import { TunnelPorts } from '../../../src/tunnel/tunnel-ports.ts'
import { ip } from './fakes.ts'

const config = (change: Partial<TunnelConfig> = {}): TunnelConfig => ({
  remote: ip('10.0.0.2'),
  dstPort: 4789,
  tos: 0,
  ttl: 64,
  df: true,
  ...change,
})

/** A packet from `remote` to `local`. */
const key = (remote: string, local: string, vni: number, dpPort = 7): Int32Array => {
  const words = createKey()
  words[K_IN_PORT] = dpPort
  words[K_TUN_ID + 1] = vni
  addressToWords(ip(remote), words, K_TUN_SRC)
  addressToWords(ip(local), words, K_TUN_DST)
  return words
}

const create = (...configs: (readonly [string, Partial<TunnelConfig>])[]): TunnelPorts<string> => {
  const ports = new TunnelPorts<string>()
  ports.setDpPort(4789, 7)
  for (const [name, change] of configs) expect(ports.add(config(change), name)).toBeUndefined()
  return ports
}

/** Open vSwitch's order: from the strongest to the weakest. */
const ORDER: readonly (readonly [string, Partial<TunnelConfig>])[] = [
  ['key, remote, local', { key: 5, local: ip('10.0.0.1') }],
  ['key, remote, any local', { key: 5 }],
  ['key, remote, local of the flow', { key: 5, local: 'flow' }],
  ['key, any remote, local', { key: 5, remote: 'flow', local: ip('10.0.0.1') }],
  ['key, any remote, any local', { key: 5, remote: 'flow' }],
  ['key, any remote, local of the flow', { key: 5, remote: 'flow', local: 'flow' }],
  ['any key, remote, local', { key: 'flow', local: ip('10.0.0.1') }],
  ['any key, remote, any local', { key: 'flow' }],
  ['any key, remote, local of the flow', { key: 'flow', local: 'flow' }],
  ['any key, any remote, local', { key: 'flow', remote: 'flow', local: ip('10.0.0.1') }],
  ['any key, any remote, any local', { key: 'flow', remote: 'flow' }],
  ['any key, any remote, local of the flow', { key: 'flow', remote: 'flow', local: 'flow' }],
]

describe('look-up', () => {
  test('the strongest of all 12 kinds wins, and the next one when it has gone', () => {
    const ports = create(...[...ORDER].reverse())
    const packet = key('10.0.0.2', '10.0.0.1', 5)
    for (const [name] of ORDER) {
      expect(ports.lookup(packet)).toBe(name)
      expect(ports.remove(name)).toBe(true)
    }
    expect(ports.lookup(packet)).toBeUndefined()
  })

  test('key, remote, local address and UDP port must be the ones', () => {
    const ports = create(['one', { key: 5, local: ip('10.0.0.1') }])
    expect(ports.lookup(key('10.0.0.2', '10.0.0.1', 5))).toBe('one')
    expect(ports.lookup(key('10.0.0.3', '10.0.0.1', 5))).toBeUndefined()
    expect(ports.lookup(key('10.0.0.2', '10.0.0.9', 5))).toBeUndefined()
    expect(ports.lookup(key('10.0.0.2', '10.0.0.1', 6))).toBeUndefined()
    expect(ports.lookup(key('10.0.0.2', '10.0.0.1', 5, 8))).toBeUndefined()
    ports.setDpPort(4790, 8)
    expect(ports.lookup(key('10.0.0.2', '10.0.0.1', 5, 8))).toBeUndefined()
  })

  test('the same packet is answered anew when ports or numbers have changed', () => {
    const ports = create()
    const packet = key('10.0.0.2', '10.0.0.1', 5)
    expect(ports.lookup(packet)).toBeUndefined()
    ports.add(config({ key: 5 }), 'one')
    expect(ports.lookup(packet)).toBe('one')
    ports.add(config({ key: 5, local: ip('10.0.0.1') }), 'two')
    expect(ports.lookup(packet)).toBe('two')
    ports.remove('two')
    expect(ports.lookup(packet)).toBe('one')
    ports.setDpPort(4789, undefined)
    expect(ports.lookup(packet)).toBeUndefined()
    ports.setDpPort(4789, 7)
    expect(ports.lookup(packet)).toBe('one')
  })

  test('a port without key takes key 0 alone', () => {
    const ports = create(['none', {}])
    expect(ports.lookup(key('10.0.0.2', '10.0.0.1', 0))).toBe('none')
    expect(ports.lookup(key('10.0.0.2', '10.0.0.1', 1))).toBeUndefined()
  })

  test('IPv6, and largest key', () => {
    const ports = create(['six', { remote: ip('2001:db8::2'), key: 0xffffff }])
    expect(ports.lookup(key('2001:db8::2', '2001:db8::1', 0xffffff))).toBe('six')
    expect(ports.lookup(key('2001:db8::3', '2001:db8::1', 0xffffff))).toBeUndefined()
  })
})

test('the same options twice are a conflict that names the other port and changes nothing', () => {
  const ports = create(['a', { key: 5 }])
  expect(ports.add(config({ key: 5 }), 'b')).toMatchObject({ error: 'EEXIST', port: 'a' })
  expect(ports.add(config({ key: 5, ttl: 1, tos: 4, df: false, csum: true }), 'b')).toMatchObject({ error: 'EEXIST' })
  expect(ports.remove('b')).toBe(false)
  expect(ports.lookup(key('10.0.0.2', '10.0.0.1', 5))).toBe('a')
  expect(ports.listening()).toMatchObject([{ ports: 1 }])
  expect(ports.add(config({ key: 5, dstPort: 4790 }), 'b')).toBeUndefined()
  expect(ports.add(config({}), 'zero')).toBeUndefined()
  // No key is key 0.
  expect(ports.add(config({ key: 0 }), 'c')).toMatchObject({ error: 'EEXIST', port: 'zero' })
})

test('UDP ports are in use while a tunnel port has them, and keep their datapath port', () => {
  const ports = create(['a', { key: 1 }], ['b', { key: 2 }], ['c', { key: 3, dstPort: 8472 }])
  expect(ports.udpPorts()).toEqual([4789, 8472])
  expect(ports.listening()).toEqual([
    { name: 'vxlan_sys_4789', udpPort: 4789, dpPort: 7, ports: 2 },
    { name: 'vxlan_sys_8472', udpPort: 8472, ports: 1 },
  ])
  expect([ports.dpPort(4789), ports.udpPort(7), ports.dpPort(8472)]).toEqual([7, 4789, undefined])
  ports.remove('a')
  expect(ports.uses(4789)).toBe(true)
  ports.remove('b')
  expect(ports.uses(4789)).toBe(false)
  ports.setDpPort(4789, 9)
  expect([ports.udpPort(7), ports.udpPort(9)]).toEqual([undefined, 4789])
  ports.setDpPort(4789, undefined)
  expect([ports.udpPort(9), ports.dpPort(4789)]).toEqual([undefined, undefined])
})
