/** Metadata in a flow's text; headers are compared with ovs-ofctl in test/system/extract. */
import { describe, expect, it } from 'vitest'
import { extract } from '../../../src/flow/extract.ts'
import { setField } from '../../../src/flow/fields.ts'
import { formatFlow } from '../../../src/flow/flow-text.ts'
import { createKey } from '../../../src/flow/key.ts'
import { fieldNamed } from '../../../src/flow/registry.ts'

const FRAME = Uint8Array.from(Buffer.from('0200000000020200000000011234', 'hex'))
const LAYER2 = 'vlan_tci=0x0000,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:02,dl_type=0x1234'

const flow = (...fields: [string, bigint][]): string => {
  const key = createKey()
  extract(FRAME, 0, FRAME.length, key)
  for (const [name, value] of fields) setField(key, fieldNamed(name), value)
  return formatFlow(key)
}

describe('formatFlow', () => {
  it('shows no metadata that is zero', () => expect(flow()).toBe(LAYER2))

  it('names reserved ports, and others by number or as told', () => {
    expect(flow(['in_port_oxm', 0xfffen])).toBe(`in_port=LOCAL,${LAYER2}`)
    expect(flow(['in_port_oxm', 3n])).toBe(`in_port=3,${LAYER2}`)
    const key = createKey()
    setField(key, fieldNamed('in_port_oxm'), 3n)
    expect(formatFlow(key, (no) => `vf${no}`)).toMatch(/^in_port=vf3,/)
  })

  it('shows metadata in the order of ofproto/trace', () => {
    const text = flow(
      ['in_port_oxm', 1n],
      ['pkt_mark', 0x12n],
      ['recirc_id', 2n],
      ['ct_state', 0x21n],
      ['ct_zone', 7n],
      ['ct_mark', 0xffn],
      ['reg3', 0xabcn],
      ['metadata', 0x1_0000_0000n],
    )
    expect(text).toBe(
      `pkt_mark=0x12,recirc_id=0x2,ct_state=new|trk,ct_zone=7,ct_mark=0xff,eth,reg3=0xabc,metadata=0x100000000,in_port=1,${LAYER2}`,
    )
  })

  it('shows tunnel metadata of either family', () => {
    const common: [string, bigint][] = [
      ['tun_id', 100n],
      ['tun_ttl', 64n],
      ['tun_flags', 0xcn],
    ]
    const rest = 'tun_gbp_id=0,tun_gbp_flags=0,tun_tos=0,tun_ttl=64,tun_flags=csum|key'
    expect(flow(...common, ['tun_ipv6_src', 0xffff_c0a80002n], ['tun_ipv6_dst', 0xffff_c0a80001n])).toBe(
      `tun_id=0x64,tun_src=192.168.0.2,tun_dst=192.168.0.1,tun_ipv6_src=::,tun_ipv6_dst=::,${rest},${LAYER2}`,
    )
    expect(flow(...common, ['tun_ipv6_src', 0xfd00n << 112n], ['tun_ipv6_dst', (0xfd00n << 112n) | 1n])).toBe(
      `tun_id=0x64,tun_src=0.0.0.0,tun_dst=0.0.0.0,tun_ipv6_src=fd00::,tun_ipv6_dst=fd00::1,${rest},${LAYER2}`,
    )
  })
})
