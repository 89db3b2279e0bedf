import { describe, expect, test } from 'vitest'
import { Classifier } from '../../../src/ofproto/classifier.ts'
import type { Rule } from '../../../src/ofproto/rule.ts'
import { emptyWc, type Fields, key, mask, match, rule } from './rules.ts'

const ip = (address: string): bigint => address.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
const bits = (count: number): bigint => (0xffffffffn << BigInt(32 - count)) & 0xffffffffn

const classifier = (...rules: Rule[]): Classifier => {
  const made = new Classifier()
  for (const each of rules) made.insert(each)
  return made
}

/** What a look-up of this packet finds, and what it has looked at must be exactly these fields. */
const expectLookup = (of: Classifier, packet: Fields, found: Rule | null, looked: Fields): void => {
  const wc = emptyWc()
  expect(of.lookup(key(packet), wc)).toBe(found)
  expect(wc).toEqual(mask(looked))
}

const TCP: Fields = { dl_type: 0x0800, nw_proto: 6 }

describe('what is found', () => {
  test('the highest priority wins, whatever the order of insertion', () => {
    const low = rule({}, 0)
    const high = rule({ in_port: 1 }, 5)
    const lower = rule({ in_port: 1 }, 4)
    for (const order of [
      [low, high, lower],
      [lower, high, low],
    ]) {
      const c = classifier(...order)
      expect(c.lookup(key({ in_port: 1 }), null)).toBe(high)
      expect(c.lookup(key({ in_port: 2 }), null)).toBe(low)
      c.remove(high)
      expect(c.lookup(key({ in_port: 1 }), null)).toBe(lower)
      c.remove(lower)
      expect(c.lookup(key({ in_port: 1 }), null)).toBe(low)
    }
  })

  test('subtables are asked in the order of what they still hold', () => {
    const first = [rule({ in_port: 1 }, 7), rule({ in_port: 2 }, 3)]
    const second = [rule({ reg0: 1 }, 6), rule({ reg0: 2 }, 1)]
    const third = rule({ reg1: 1 }, 5)
    const c = classifier(...first, ...second, third)
    expect(c.lookup(key({ in_port: 2, reg1: 1 }), null)).toBe(third)
    c.remove(second[0]!)
    expect(c.lookup(key({ in_port: 2, reg1: 1 }), null)).toBe(third)
  })

  test('an empty classifier finds nothing and looks at nothing', () => {
    expectLookup(new Classifier(), { in_port: 1, dl_type: 0x0800 }, null, {})
  })

  test('what was looked at is added to what the caller has', () => {
    const wc = mask({ reg3: 0 })
    classifier(rule({ in_port: 1 })).lookup(key({ in_port: 2 }), wc)
    expect(wc).toEqual(mask({ reg3: 0, in_port: 1 }))
  })
})

describe('how little is looked at', () => {
  test('a subtable that cannot better the result is not asked', () => {
    const arp = rule({ dl_type: 0x0806 }, 10)
    const port = rule({ dl_src: 5 }, 9)
    const c = classifier(arp, port)
    expectLookup(c, { dl_type: 0x0806 }, arp, { dl_type: 0 })
    expectLookup(c, { dl_type: 0x0800 }, null, { dl_type: 0, dl_src: 0 })
    c.insert(rule({ dl_src: 6 }, 10))
    expectLookup(c, { dl_type: 0x0806 }, arp, { dl_type: 0 })
  })

  test('a mismatch in metadata hides all headers', () => {
    const c = classifier(rule({ in_port: 1, metadata: 7, dl_dst: 5, ...TCP, nw_dst: ip('10.0.0.1'), tp_dst: 80 }))
    expectLookup(c, { in_port: 2 }, null, { in_port: 0, metadata: 0 })
    expectLookup(c, { in_port: 1, metadata: 7 }, null, { in_port: 0, metadata: 0, dl_dst: 0, dl_type: 0 })
  })

  test('a mismatch in layer 3 hides the ports, one in layer 2 hides layer 3', () => {
    const c = classifier(rule({ ...TCP, nw_tos: 4, tp_dst: 80 }))
    expectLookup(c, { dl_type: 0x0806 }, null, { dl_type: 0 })
    expectLookup(c, { ...TCP, nw_proto: 17 }, null, { dl_type: 0, nw_proto: 0, nw_tos: 0 })
  })

  test('of an address, bits up to the first that no prefix has', () => {
    const net = rule({ dl_type: 0x0800, nw_dst: [ip('10.1.0.0'), bits(16)] }, 5)
    const host = rule({ dl_type: 0x0800, nw_dst: ip('10.1.2.3') }, 6)
    const c = classifier(net, host)
    const looked = (count: number): Fields => ({ dl_type: 0, nw_dst: [0, bits(count)] })
    expectLookup(c, { dl_type: 0x0800, nw_dst: ip('10.1.2.3') }, host, looked(32))
    // 10.1.2.3 and 10.1.2.2 differ in bit 32, 10.1.2.3 and 10.1.128.0 in bit 17.
    expectLookup(c, { dl_type: 0x0800, nw_dst: ip('10.1.2.2') }, net, looked(32))
    expectLookup(c, { dl_type: 0x0800, nw_dst: ip('10.1.128.0') }, net, looked(17))
    expectLookup(c, { dl_type: 0x0800, nw_dst: ip('138.0.0.0') }, null, looked(1))
    expectLookup(c, { dl_type: 0x0800, nw_dst: ip('11.0.0.0') }, null, looked(8))
  })

  test('a prefix is not looked at for packets of another type, nor confused with theirs', () => {
    const v6 = rule({ dl_type: 0x86dd, ipv6_dst: [0x20010db8n << 96n, 0xffffffffn << 96n] }, 5)
    const v4 = rule({ dl_type: 0x0800, nw_dst: [0x20010000, bits(16)] }, 6)
    const c = classifier(v6, v4)
    expectLookup(c, { dl_type: 0x0806 }, null, { dl_type: 0 })
    // As an IPv4 address, the IPv6 rule's prefix must not cost more than the IPv4 rules' own bits.
    expectLookup(c, { dl_type: 0x0800, nw_dst: 0x20010db8 }, v4, { dl_type: 0, nw_dst: [0, bits(16)] })
    const other = { dl_type: 0x86dd, ipv6_dst: (0x20010db9n << 96n) | 5n }
    expectLookup(c, other, null, { dl_type: 0, ipv6_dst: [0, 0xffffffffn << 96n] })
  })

  test('of the ports, only the leading bits that differ from all rules of the subtable', () => {
    const c = classifier(rule({ ...TCP, tp_src: 80 }), rule({ ...TCP, tp_src: 443 }))
    const looked: Fields = { dl_type: 0, nw_proto: 0 }
    expectLookup(c, { ...TCP, tp_src: 0x8000 }, null, { ...looked, tp_src: [0, 0x8000] })
    expectLookup(c, { ...TCP, tp_src: 81 }, null, { ...looked, tp_src: [0, 0xffff] })
  })

  test('when the ports are right but other bits of layer 4 are not, all of them count', () => {
    const c = classifier(rule({ ...TCP, tp_src: 80, tcp_flags: 2 }))
    expectLookup(c, { ...TCP, tp_src: 80 }, null, { dl_type: 0, nw_proto: 0, tp_src: 0, tcp_flags: 0 })
  })
})

describe('rules of one classifier', () => {
  test('are found strictly, and refused twice', () => {
    const a = rule({ in_port: 1 }, 5)
    const b = rule({ in_port: 1 }, 7)
    const c = classifier(a, b)
    expect(c.findStrict(match({ in_port: 1 }), 5)).toBe(a)
    expect(c.findStrict(match({ in_port: 1 }), 6)).toBeNull()
    expect(c.findStrict(match({ in_port: 2 }), 5)).toBeNull()
    expect(c.findStrict(match({}), 5)).toBeNull()
    expect(() => c.insert(rule({ in_port: 1 }, 7))).toThrow('match and priority')
    expect(c.size).toBe(2)
    expect(() => c.remove(rule({ in_port: 1 }, 6))).toThrow('not in the classifier')
    expect([...c.rules()]).toHaveLength(2)
  })

  test('are replaced in place, first or later among equal matches', () => {
    const rules = [9, 7, 5].map((priority) => rule({ in_port: 1 }, priority))
    const c = classifier(...rules)
    for (const old of rules) {
      const by = rule({ in_port: 1 }, old.priority)
      c.replace(old, by)
      expect(c.findStrict(old.match, old.priority)).toBe(by)
      expect(() => c.replace(old, by)).toThrow('not in the classifier')
    }
    expect([...c.rules()].map((r) => r.priority)).toEqual([9, 7, 5])
  })

  test('are listed by what a match covers', () => {
    const exact = rule({ in_port: 1, dl_type: 0x0800, nw_dst: ip('10.0.0.1') })
    const net = rule({ in_port: 2, dl_type: 0x0800, nw_dst: [ip('10.0.0.0'), bits(8)] })
    const all = rule({}, 0)
    const c = classifier(exact, net, all)
    expect(new Set(c.covered(match({})))).toEqual(new Set([exact, net, all]))
    expect([...c.covered(match({ dl_type: 0x0800, nw_dst: [ip('10.0.0.0'), bits(16)] }))]).toEqual([exact])
    expect([...c.covered(match({ in_port: 2 }))]).toEqual([net])
  })

  test('overlap only at their own priority', () => {
    const a = rule({ in_port: 1 }, 5)
    const c = classifier(a)
    expect(c.findOverlap(match({ dl_type: 0x0800 }), 5)).toBe(a)
    expect(c.findOverlap(match({ dl_type: 0x0800 }), 6)).toBeNull()
    expect(c.findOverlap(match({ in_port: 2, dl_type: 0x0800 }), 5)).toBeNull()
  })
})
