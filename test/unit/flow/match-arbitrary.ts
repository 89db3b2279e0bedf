/** Random matches that a user or a datapath could have: fields come with their prerequisites. For property tests. */
import fc from 'fast-check'
import type { Field } from '../../../src/flow/fields.ts'
import { fullMask, matchField } from '../../../src/flow/fields.ts'
import { createMatch, FRAG_LATER, K_NW, K_VLAN0, type Match } from '../../../src/flow/key.ts'
import { expandShorthand } from '../../../src/flow/prerequisites.ts'
import { fieldNamed, matchValue } from '../../../src/flow/registry.ts'

export type Step = (match: Match) => void

/** Any value; any mask that is not zero, the full one more often. */
export const anyBits = (bits: number): fc.Arbitrary<{ value: bigint; mask: bigint }> => {
  const full = (1n << BigInt(bits)) - 1n
  const mask = fc.oneof(fc.constant(full), fc.bigInt({ min: 1n, max: full }))
  const value = fc.oneof(fc.constant(0n), fc.constant(full), fc.bigInt({ min: 0n, max: full }))
  return fc.record({ value, mask }).map(({ value, mask }) => ({ value: value & mask, mask }))
}

const masked = (name: string): fc.Arbitrary<Step> => {
  const field = fieldNamed(name)
  return anyBits(field.bits).map(
    ({ value, mask }) =>
      (m) =>
        matchField(m, field, value, mask),
  )
}

export const put = (m: Match, field: Field, value: bigint, mask?: bigint): void => {
  const problem = matchValue(m, field, value, mask)
  if (problem !== undefined) throw new Error(problem)
}

const exact = (name: string, max?: bigint, times = 1n): fc.Arbitrary<Step> => {
  const field = fieldNamed(name)
  return fc.bigInt({ min: 0n, max: (max ?? fullMask(field)) / times }).map((v) => (m) => put(m, field, v * times))
}

const frag: fc.Arbitrary<Step> = fc.constantFrom([0n, 3n], [1n, 1n], [1n, 3n], [2n, 2n], [0n, 2n]).map(
  ([value, mask]) =>
    (m) =>
      matchField(m, fieldNamed('nw_frag'), value!, mask!),
)

/** Some of these steps, each with even odds. */
const some = (...steps: fc.Arbitrary<Step>[]): fc.Arbitrary<Step> =>
  fc.tuple(...steps.map((step) => fc.option(step, { nil: undefined, freq: 1 }))).map((chosen) => (m) => {
    for (const step of chosen) step?.(m)
  })

const shorthand =
  (word: string): Step =>
  (m) => {
    expandShorthand(m, word)
  }

const after = (word: string, ...steps: fc.Arbitrary<Step>[]): fc.Arbitrary<Step> =>
  some(...steps).map((rest) => (m) => {
    shorthand(word)(m)
    rest(m)
  })

const ipRest = [exact('nw_tos', 252n, 4n), exact('nw_ecn'), exact('nw_ttl'), frag]
const ip4 = [masked('nw_src'), masked('nw_dst'), ...ipRest]
const ip6 = [masked('ipv6_src'), masked('ipv6_dst'), masked('ipv6_label'), ...ipRest]
const ports = [masked('tp_src'), masked('tp_dst')]
const icmp = [exact('icmp_type'), exact('icmp_code')]
const arp = ['arp_spa', 'arp_tpa', 'arp_sha', 'arp_tha'].map(masked)

const nd = (type: bigint, address: string): fc.Arbitrary<Step> =>
  after('icmp6', ...ip6, exact('icmp_code'), masked('nd_target'), masked(address)).map((step) => (m) => {
    step(m)
    put(m, fieldNamed('icmp_type'), type)
  })

const otherType: fc.Arbitrary<Step> = fc
  .integer({ min: 0x600, max: 0xffff })
  .filter((type) => ![0x800, 0x806, 0x8035, 0x86dd, 0x8847, 0x8848, 0x894f, 0x8100, 0x88a8].includes(type))
  .map((type) => (m) => put(m, fieldNamed('dl_type'), BigInt(type)))

const otherProto: fc.Arbitrary<Step> = fc
  .integer({ min: 0, max: 255 })
  .filter((proto) => ![1, 6, 17, 58, 132].includes(proto))
  .map((proto) => (m) => put(m, fieldNamed('nw_proto'), BigInt(proto)))

export const protocol: fc.Arbitrary<Step> = fc.oneof(
  otherType,
  after('ip', ...ip4, otherProto),
  after('ipv6', ...ip6, otherProto),
  after('tcp', ...ip4, ...ports, masked('tcp_flags')),
  after('tcp6', ...ip6, ...ports, masked('tcp_flags')),
  after('udp', ...ip4, ...ports),
  after('udp6', ...ip6, ...ports),
  after('sctp', ...ip4, ...ports),
  after('sctp6', ...ip6, ...ports),
  after('icmp', ...ip4, ...icmp),
  after('icmp6', ...ip6, ...icmp),
  nd(135n, 'nd_sll'),
  nd(136n, 'nd_tll'),
  after('arp', ...arp, exact('arp_op')),
  after('rarp', ...arp, exact('arp_op')),
  after('mpls', exact('mpls_label'), exact('mpls_tc'), exact('mpls_ttl'), exact('mpls_bos')),
  after('mplsm', exact('mpls_label')),
)

const ctState: fc.Arbitrary<Step> = anyBits(8).map(
  ({ value, mask }) =>
    (m) =>
      matchField(m, fieldNamed('ct_state'), value, mask),
)

const tags: fc.Arbitrary<Step> = fc.oneof(
  some(exact('dl_vlan', 4095n), exact('dl_vlan_pcp')),
  masked('vlan_tci'),
  fc.constant<Step>((m) => put(m, fieldNamed('vlan_vid'), 0n)),
)

const inPort: fc.Arbitrary<Step> = fc
  .oneof(fc.integer({ min: 0, max: 0xfeff }), fc.constant(0xfffe))
  .map((port) => (m) => put(m, fieldNamed('in_port'), BigInt(port)))

const ethernet = some(masked('dl_src'), masked('dl_dst'))

/** Matches of OpenFlow rules. */
export const ofpMatch: fc.Arbitrary<Match> = fc
  .tuple(
    some(masked('pkt_mark'), masked('dp_hash'), exact('conj_id'), exact('actset_output', 0xfeffn), exact('recirc_id')),
    some(ctState, exact('ct_zone'), masked('ct_mark'), masked('ct_label')),
    some(...[0, 1, 5, 15].map((i) => masked(`reg${i}`)), masked('metadata')),
    some(
      masked('tun_id'),
      masked('tun_src'),
      masked('tun_dst'),
      masked('tun_gbp_id'),
      exact('tun_tos'),
      exact('tun_ttl'),
    ),
    some(inPort, tags),
    ethernet,
    fc.oneof(protocol, some()),
  )
  .map((steps) => {
    const match = createMatch()
    for (const step of steps) step(match)
    return match
  })

/** A tag, or two, or none; exactly, as datapath flows have them. */
const dpTags: fc.Arbitrary<Step> = fc
  .array(
    fc.record({
      tpid: fc.constantFrom(0x8100, 0x88a8),
      vid: fc.integer({ min: 0, max: 4095 }),
      pcp: fc.integer({ min: 0, max: 7 }),
      mask: fc.constantFrom(0x1fff, 0xffff, 0x1000, 0xf000, 0x700f | 0x1000),
    }),
    { maxLength: 2 },
  )
  .map((list) => (m) => {
    for (let i = 0; i < 2; i++) {
      const tag = list[i]
      // Whether there is an inner tag is asked only of tagged frames.
      if (tag === undefined && i > list.length) break
      const mask = tag === undefined ? -1 : -65536 | tag.mask
      m.mask[K_VLAN0 + i] = mask
      m.key[K_VLAN0 + i] = tag === undefined ? 0 : ((tag.tpid << 16) | (tag.pcp << 13) | 0x1000 | tag.vid) & mask
    }
  })

const tunnelAddress = (name: string): fc.Arbitrary<Step> =>
  fc.bigInt({ min: 0n, max: 0xffffffffn }).map((v) => (m) => matchField(m, fieldNamed(name), (0xffffn << 32n) | v))

const laterFragment = (m: Match): boolean => (m.key[K_NW]! & FRAG_LATER) !== 0

/** Matches of datapath flows. No later fragments: they have no transport header, whatever the random bits say. */
export const dpMatch: fc.Arbitrary<Match> = fc
  .tuple(
    some(masked('pkt_mark'), masked('dp_hash'), masked('skb_priority')),
    some(ctState, masked('ct_zone'), masked('ct_mark'), masked('ct_label')),
    some(
      masked('tun_id'),
      tunnelAddress('tun_ipv6_src'),
      tunnelAddress('tun_ipv6_dst'),
      exact('tun_tos'),
      exact('tun_ttl'),
      masked('tun_gbp_id'),
    ),
    fc.tuple(exact('recirc_id'), exact('in_port', 0xfeffn)).map((steps) => (m: Match) => {
      for (const step of steps) step(m)
    }),
    ethernet,
    dpTags,
    protocol,
  )
  .map((steps) => {
    const match = createMatch()
    for (const step of steps) step(match)
    return match
  })
  .filter((m) => !laterFragment(m))
