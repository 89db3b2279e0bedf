import { describe, expect, it } from 'vitest'
import { type Field, fullMask, getField, matchField, setField } from '../../../src/flow/fields.ts'
import { createKey, createMatch, K_IN_PORT, K_WORDS, type Match } from '../../../src/flow/key.ts'
import {
  describePrerequisite,
  expandShorthand,
  PREREQUISITES,
  SHORTHANDS,
  satisfied,
} from '../../../src/flow/prerequisites.ts'
import { FIELDS, fieldByName, fieldNamed, matchValue } from '../../../src/flow/registry.ts'

const tci = (match: Match): [bigint, bigint] => {
  const field = fieldNamed('vlan_tci')
  return [getField(match.key, field), getField(match.mask, field)]
}

const matched = (name: string, value: bigint, mask?: bigint): Match => {
  const match = createMatch()
  expect(matchValue(match, fieldNamed(name), value, mask)).toBeUndefined()
  return match
}

describe('field registry', () => {
  it('numbers its fields, keeps them inside the key, and names known prerequisites', () => {
    FIELDS.forEach((field, i) => {
      expect(field.id).toBe(i)
      expect(field.bit + field.bits).toBeLessThanOrEqual(K_WORDS * 32)
      expect(PREREQUISITES.has(field.prerequisite)).toBe(true)
    })
  })

  it('uses no name twice, and no OXM id twice', () => {
    const names = FIELDS.flatMap((f) => [f.name, ...f.aliases, ...f.nxm])
    expect(new Set(names).size).toBe(names.length)
    const ids = FIELDS.filter((f) => f.oxm !== 0).map((f) => f.oxm)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('finds fields by name, alias and NXM or OXM name', () => {
    for (const name of ['nw_src', 'ip_src', 'NXM_OF_IP_SRC', 'OXM_OF_IPV4_SRC']) {
      expect(fieldByName(name)).toBe(fieldNamed('nw_src'))
    }
    expect(fieldByName('nw_source')).toBeUndefined()
    expect(() => fieldNamed('nw_source')).toThrow("no match field 'nw_source'")
  })

  it('has the wire ids of the specifications', () => {
    expect(fieldNamed('dl_dst').oxm).toBe(0x80000600)
    expect(fieldNamed('reg5').oxm).toBe(0x00010a00)
    expect(fieldNamed('xreg1').oxm).toBe(0x80010200)
    expect(fieldNamed('tcp_flags').oxm).toBe(0x80005400)
  })

  it('lets fields overlap only where they are views of one thing', () => {
    const views = [
      ['in_port', 'in_port_oxm'],
      ['vlan_tci', 'dl_vlan', 'vlan_vid', 'dl_vlan_pcp', 'vlan_pcp'],
      ['nw_tos', 'ip_dscp', 'nw_ecn'],
      ['nw_src', 'ipv6_src', 'arp_spa'],
      ['nw_dst', 'ipv6_dst', 'arp_tpa'],
      ['nw_proto', 'arp_op'],
      ['arp_sha', 'nd_sll'],
      ['arp_tha', 'nd_tll'],
      ['tp_src', 'tcp_src', 'udp_src', 'sctp_src', 'icmp_type', 'icmpv6_type'],
      ['tp_dst', 'tcp_dst', 'udp_dst', 'sctp_dst', 'icmp_code', 'icmpv6_code'],
      ['tcp_flags', 'nd_options_type'],
      ['tun_src', 'tun_ipv6_src'],
      ['tun_dst', 'tun_ipv6_dst'],
    ]
    const isRegister = (f: Field): boolean => /^x{0,2}reg/.test(f.name)
    for (const a of FIELDS) {
      for (const b of FIELDS) {
        if (a === b || (isRegister(a) && isRegister(b))) continue
        if (a.bit + a.bits <= b.bit || b.bit + b.bits <= a.bit) continue
        const together = views.some((v) => v.includes(a.name) && v.includes(b.name))
        expect([a.name, b.name, together]).toEqual([a.name, b.name, true])
      }
    }
  })

  it('writes and reads every field without touching other bits', () => {
    for (const field of FIELDS) {
      const ones = createKey().fill(-1)
      setField(ones, field, 0n)
      expect(getField(ones, field)).toBe(0n)
      expect(countOnes(ones)).toBe(K_WORDS * 32 - field.bits)
      const zeros = createKey()
      const value = 0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5an & fullMask(field)
      setField(zeros, field, value)
      expect(getField(zeros, field)).toBe(value)
      setField(zeros, field, 0n)
      expect(countOnes(zeros)).toBe(0)
    }
  })

  it('joins registers most significant first', () => {
    const key = createKey()
    setField(key, fieldNamed('xxreg0'), 0x11111111_22222222_33333333_44444444n)
    expect(getField(key, fieldNamed('reg0'))).toBe(0x11111111n)
    expect(getField(key, fieldNamed('xreg1'))).toBe(0x33333333_44444444n)
  })
})

const countOnes = (key: Int32Array): number =>
  key.reduce((n, word) => n + (word >>> 0).toString(2).replaceAll('0', '').length, 0)

describe('matchValue', () => {
  it('dl_vlan matches tagged packets only, and 0xffff untagged ones', () => {
    expect(tci(matched('dl_vlan', 5n))).toEqual([0x1005n, 0x1fffn])
    expect(tci(matched('dl_vlan', 0n))).toEqual([0x1000n, 0x1fffn])
    expect(tci(matched('dl_vlan', 0xffffn))).toEqual([0n, 0xffffn])
    expect(matchValue(createMatch(), fieldNamed('dl_vlan'), 4096n)).toBe(
      'dl_vlan: value 4096 does not fit into 12 bits',
    )
  })

  it('dl_vlan and dl_vlan_pcp together give the whole TCI', () => {
    const match = matched('dl_vlan', 5n)
    expect(matchValue(match, fieldNamed('dl_vlan_pcp'), 3n)).toBeUndefined()
    expect(tci(match)).toEqual([0x7005n, 0xffffn])
  })

  it('vlan_vid has the CFI bit in value and mask', () => {
    expect(tci(matched('vlan_vid', 0x1005n))).toEqual([0x1005n, 0x1fffn])
    expect(tci(matched('vlan_vid', 0x1000n, 0x1000n))).toEqual([0x1000n, 0x1000n])
    expect(tci(matched('vlan_vid', 0n))).toEqual([0n, 0xffffn])
    expect(matchValue(createMatch(), fieldNamed('vlan_vid'), 5n)).toMatch(/can never match/)
  })

  it('nw_tos leaves ECN out', () => {
    const match = matched('nw_tos', 0xb8n)
    expect(getField(match.mask, fieldNamed('nw_tos'))).toBe(0xfcn)
    expect(matchValue(createMatch(), fieldNamed('nw_tos'), 3n)).toMatch(/multiple of 4/)
  })

  it('in_port covers its whole word', () => {
    const match = matched('in_port', 7n)
    expect([match.key[K_IN_PORT], match.mask[K_IN_PORT]]).toEqual([7, -1])
  })

  it('refuses masks where there are none, and leaves the match as it was', () => {
    const match = createMatch()
    expect(matchValue(match, fieldNamed('dl_type'), 0x800n, 0xff00n)).toMatch(/masks are not supported/)
    expect(matchValue(match, fieldNamed('nw_src'), 1n << 32n)).toMatch(/does not fit into 32 bits/)
    expect(match).toEqual(createMatch())
  })

  it('drops value bits outside of the mask', () => {
    const match = matched('nw_src', 0x0a0b0c0dn, 0xff000000n)
    expect(getField(match.key, fieldNamed('nw_src'))).toBe(0x0a000000n)
  })
})

describe('prerequisites', () => {
  const match = (words: string[], ...fields: [string, bigint][]): Match => {
    const out = createMatch()
    for (const word of words) expect(expandShorthand(out, word)).toBe(true)
    for (const [name, value] of fields) matchField(out, fieldNamed(name), value)
    return out
  }

  it('hold exactly for the shorthands that imply them', () => {
    const table: Record<string, string[]> = {
      none: [...SHORTHANDS.keys()],
      ip: ['ip', 'ipv4', 'ip4', 'icmp', 'tcp', 'udp', 'sctp'],
      'ip-or-arp': ['ip', 'ipv4', 'ip4', 'icmp', 'tcp', 'udp', 'sctp', 'arp', 'rarp'],
      ipv6: ['ipv6', 'ip6', 'icmp6', 'tcp6', 'udp6', 'sctp6'],
      arp: ['arp', 'rarp'],
      tcp: ['tcp', 'tcp6'],
      udp: ['udp', 'udp6'],
      sctp: ['sctp', 'sctp6'],
      tp: ['icmp', 'icmp6', 'tcp', 'tcp6', 'udp', 'udp6', 'sctp', 'sctp6'],
      'icmp-any': ['icmp', 'icmp6'],
      icmp: ['icmp'],
      icmp6: ['icmp6'],
      mpls: ['mpls', 'mplsm'],
      nd: [],
      vlan: [],
      nsh: [],
    }
    for (const [name, words] of Object.entries(table)) {
      const holding = [...SHORTHANDS.keys()].filter((word) => satisfied(match([word]), name))
      expect([name, holding.sort()]).toEqual([name, [...words].sort()])
    }
  })

  it('of neighbour discovery ask for the message type', () => {
    expect(satisfied(match(['icmp6'], ['icmpv6_type', 135n]), 'nd-solicit')).toBe(true)
    expect(satisfied(match(['icmp6'], ['icmpv6_type', 135n]), 'nd-advert')).toBe(false)
    expect(satisfied(match(['icmp6'], ['icmpv6_type', 136n]), 'nd')).toBe(true)
    expect(satisfied(match(['icmp6']), 'nd')).toBe(false)
  })

  it('do not hold for a partly masked type', () => {
    const partly = createMatch()
    matchField(partly, fieldNamed('dl_type'), 0x0800n, 0xff00n)
    expect(satisfied(partly, 'ip')).toBe(false)
  })

  it('hold for a VLAN whichever way it was matched', () => {
    expect(satisfied(matched('dl_vlan', 5n), 'vlan')).toBe(true)
    expect(satisfied(matched('vlan_pcp', 5n), 'vlan')).toBe(true)
    expect(satisfied(matched('dl_vlan', 0xffffn), 'vlan')).toBe(false)
  })

  it('say what to write', () => {
    expect(describePrerequisite(fieldNamed('ipv6_src'))).toBe('ipv6_src needs ipv6: dl_type=0x86dd')
    expect(describePrerequisite(fieldNamed('nd_sll'))).toBe(
      'nd_sll needs a neighbour solicitation: icmp6 and icmp_type=135',
    )
    expect(expandShorthand(createMatch(), 'ipx')).toBe(false)
  })
})
