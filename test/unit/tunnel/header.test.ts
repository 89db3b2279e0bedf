import { describe, expect, test } from 'vitest'
import { ENCAP_CSUM, ENCAP_DF, ENCAP_TOS_INHERIT, ENCAP_TTL_INHERIT } from '../../../src/flow/encap.ts'
import { encapFlags, encapHeader } from '../../../src/tunnel/header.ts'
import { hex, ip, mac, specTo } from './fakes.ts'

const far = { local: ip('10.0.0.1'), ethSrc: mac(1), ethDst: mac(2) }

describe('IPv4', () => {
  test('every byte, with what differs by packet zero', () => {
    const header = encapHeader(specTo('10.0.0.2', { vni: 0x123456, tos: 0xb8, ttl: 7, dstPort: 8472 }), far)
    expect(hex(header)).toBe(
      [
        '020000000002020000000001',
        '0800',
        '45b80000',
        '00004000',
        '07110000',
        '0a000001',
        '0a000002',
        '00002118',
        '00000000',
        '08000000',
        '12345600',
      ].join(''),
    )
  })

  test('without DF; inherited TOS and TTL have the values for packets that are no IP', () => {
    const header = encapHeader(specTo('10.0.0.2', { df: false, tos: 'inherit', ttl: 'inherit' }), far)
    expect(hex(header.subarray(14, 24))).toBe('45000000000000004011')
  })

  test('what the way does not tell yet is zero', () => {
    const header = encapHeader(specTo('10.0.0.2'), { local: undefined, ethSrc: undefined, ethDst: undefined })
    expect(hex(header.subarray(0, 12))).toBe('00'.repeat(12))
    expect(hex(header.subarray(26, 34))).toBe('000000000a000002')
    expect(header.length).toBe(50)
  })
})

test('IPv6: every byte', () => {
  const header = encapHeader(specTo('2001:db8::2', { vni: 1, tos: 0xb8 }), { ...far, local: ip('2001:db8::1') })
  expect(hex(header)).toBe(
    [
      '020000000002020000000001',
      '86dd',
      '6b800000',
      '00001140',
      '20010db8000000000000000000000001',
      '20010db8000000000000000000000002',
      '000012b5',
      '00000000',
      '08000000',
      '00000100',
    ].join(''),
  )
})

test('flags', () => {
  expect(encapFlags(specTo('10.0.0.2', { df: false }))).toBe(0)
  expect(encapFlags(specTo('10.0.0.2'))).toBe(ENCAP_DF)
  expect(encapFlags(specTo('10.0.0.2', { tos: 'inherit', ttl: 'inherit', csum: true }))).toBe(
    ENCAP_DF | ENCAP_CSUM | ENCAP_TOS_INHERIT | ENCAP_TTL_INHERIT,
  )
})
